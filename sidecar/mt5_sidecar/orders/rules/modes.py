# SPDX-License-Identifier: Apache-2.0
"""What kinds of orders a symbol takes at all."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.bodies import Filling, Kind, Side
from mt5_sidecar.orders.errors import BrokenLimit
from mt5_sidecar.orders.symbols import Symbol

INVALID = 10013
TRADE_DISABLED = 10017
INVALID_EXPIRATION = 10022
INVALID_FILL = 10030
LONG_ONLY = 10042
SHORT_ONLY = 10043
CLOSE_ONLY = 10044

ORDER_MODE_BITS: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        "market": mt5.SYMBOL_ORDER_MARKET,
        "limit": mt5.SYMBOL_ORDER_LIMIT,
        "stop": mt5.SYMBOL_ORDER_STOP,
        "stop_limit": mt5.SYMBOL_ORDER_STOP_LIMIT,
    }
)
FILLINGS: Final[Mapping[Filling, int]] = MappingProxyType(
    {
        "fok": mt5.ORDER_FILLING_FOK,
        "ioc": mt5.ORDER_FILLING_IOC,
        "return": mt5.ORDER_FILLING_RETURN,
        "boc": mt5.ORDER_FILLING_BOC,
    }
)
EXPIRATION_BITS: Final[Mapping[int, int]] = MappingProxyType(
    {
        mt5.ORDER_TIME_GTC: mt5.SYMBOL_EXPIRATION_GTC,
        mt5.ORDER_TIME_DAY: mt5.SYMBOL_EXPIRATION_DAY,
        mt5.ORDER_TIME_SPECIFIED: mt5.SYMBOL_EXPIRATION_SPECIFIED,
        mt5.ORDER_TIME_SPECIFIED_DAY: mt5.SYMBOL_EXPIRATION_SPECIFIED_DAY,
    }
)


def check_trade_mode(side: Side, symbol: Symbol) -> None:
    """Let pass a side in which the symbol may be opened now.

    Raises:
        BrokenLimit: `trade_mode`.
    """
    match symbol.trade_mode:
        case mt5.SYMBOL_TRADE_MODE_DISABLED:
            raise _broken("trade_mode", side, "no trading", TRADE_DISABLED)
        case mt5.SYMBOL_TRADE_MODE_CLOSEONLY:
            raise _broken("trade_mode", side, "closing only", CLOSE_ONLY)
        case mt5.SYMBOL_TRADE_MODE_LONGONLY if side == "sell":
            raise _broken("trade_mode", side, "buy only", LONG_ONLY)
        case mt5.SYMBOL_TRADE_MODE_SHORTONLY if side == "buy":
            raise _broken("trade_mode", side, "sell only", SHORT_ONLY)
        case _:
            return


def check_can_close(symbol: Symbol) -> None:
    """Let pass closing wherever the symbol is traded at all.

    Raises:
        BrokenLimit: `trade_mode`.
    """
    if symbol.trade_mode == mt5.SYMBOL_TRADE_MODE_DISABLED:
        raise _broken("trade_mode", "close", "no trading", TRADE_DISABLED)


def check_order_mode(name: str, bit: int, symbol: Symbol) -> None:
    """Let pass a kind of order, or a stop, whose bit the symbol has.

    Raises:
        BrokenLimit: `order_mode`.
    """
    if not symbol.order_mode & bit:
        raise _broken("order_mode", name, f"mode bits {symbol.order_mode}", INVALID)


def check_expiration_mode(type_time: int, symbol: Symbol) -> None:
    """Let pass an ORDER_TIME_ whose bit the symbol has.

    Raises:
        BrokenLimit: `expiration_mode`.
    """
    if not symbol.expiration_mode & EXPIRATION_BITS[type_time]:
        allowed = f"mode bits {symbol.expiration_mode}"
        raise _broken("expiration_mode", type_time, allowed, INVALID_EXPIRATION)


def market_filling(asked: Filling | None, symbol: Symbol) -> int:
    """Return the ORDER_FILLING_ of a market order; FOK where it may choose: IOC may fill partly.

    Raises:
        BrokenLimit: `filling_mode`: the one that was asked for is not offered.
    """
    allowed = _market_fillings(symbol)
    if asked is None:
        return FILLINGS[allowed[0]]
    if asked not in allowed:
        raise _broken("filling_mode", asked, " or ".join(allowed), INVALID_FILL)
    return FILLINGS[asked]


def pending_filling(asked: Filling | None, kind: Kind, symbol: Symbol) -> int:
    """Return the ORDER_FILLING_ of a waiting order: RETURN, or BOC where a limit may have it.

    Raises:
        BrokenLimit: `filling_mode`: the one that was asked for is not offered.
    """
    book_or_cancel = kind != "stop" and symbol.filling_mode & mt5.SYMBOL_FILLING_BOC
    allowed: tuple[Filling, ...] = ("return", "boc") if book_or_cancel else ("return",)
    if asked is not None and asked not in allowed:
        raise _broken("filling_mode", asked, " or ".join(allowed), INVALID_FILL)
    return FILLINGS[asked or "return"]


def _market_fillings(symbol: Symbol) -> tuple[Filling, ...]:
    # Source: metatrader5.com help, "Fill policy": Request and Instant execution fill or kill.
    if symbol.execution <= mt5.SYMBOL_TRADE_EXECUTION_INSTANT:
        return ("fok",)
    bits: dict[Filling, int] = {"fok": mt5.SYMBOL_FILLING_FOK, "ioc": mt5.SYMBOL_FILLING_IOC}
    offered = tuple(name for name, bit in bits.items() if symbol.filling_mode & bit)
    if symbol.execution == mt5.SYMBOL_TRADE_EXECUTION_EXCHANGE or not offered:
        return (*offered, "return")
    return offered


def _broken(limit: str, value: object, allowed: object, retcode: int) -> BrokenLimit:
    return BrokenLimit(limit, value=value, allowed=allowed, retcode=retcode)
