# SPDX-License-Identifier: Apache-2.0
"""The package's three functions that are written in Python: market orders with up to ten tries."""

from typing import Any, Final, Literal

from mt5_simulator import constants as mt5
from mt5_simulator import package, trades
from mt5_simulator.structs import OrderSendResult, TradePosition

_TRIES: Final = 10
_AGAIN: Final = frozenset({mt5.TRADE_RETCODE_REQUOTE, mt5.TRADE_RETCODE_PRICE_OFF})
_DEVIATION_POINTS: Final = 10


def Buy(  # noqa: N802  (the package's name)
    symbol: str,
    volume: float,
    price: float | None = None,
    *,
    comment: str | None = None,
    ticket: int | None = None,
) -> OrderSendResult | None:
    """Buy at `price`, or at the market."""
    return _market(mt5.ORDER_TYPE_BUY, symbol, volume, price, comment=comment, position=ticket)


def Sell(  # noqa: N802  (the package's name)
    symbol: str,
    volume: float,
    price: float | None = None,
    *,
    comment: str | None = None,
    ticket: int | None = None,
) -> OrderSendResult | None:
    """Sell at `price`, or at the market."""
    return _market(mt5.ORDER_TYPE_SELL, symbol, volume, price, comment=comment, position=ticket)


def Close(  # noqa: N802  (the package's name)
    symbol: str, *, comment: str | None = None, ticket: int | None = None
) -> bool | Literal["Partially"] | None:
    """Close one position, or all of `symbol`; "Partially" when some stayed."""
    wanted = {"ticket": ticket} if ticket is not None else {"symbol": symbol}
    # Without a terminal this is a TypeError, and `Buy` an AttributeError: as in the package.
    held: Any = trades.positions_get(**wanted)
    results = [_closed(position, symbol, comment) for position in held]
    if None in results:
        return None
    if not any(results):
        return False
    return True if all(results) else "Partially"


def _closed(position: TradePosition, symbol: str, comment: str | None) -> bool | None:
    opposite = 1 - position.type
    result = _market(
        opposite, symbol, position.volume, None, comment=comment, position=position.ticket
    )
    return None if result is None else result.retcode == mt5.TRADE_RETCODE_DONE


def _market(
    side: int,
    symbol: str,
    volume: float,
    price: float | None,
    *,
    comment: str | None,
    position: int | None,
) -> OrderSendResult | None:
    optional = {"comment": comment, "position": position}
    request: dict[str, Any] = {
        "action": mt5.TRADE_ACTION_DEAL,
        "symbol": symbol,
        "volume": volume,
        "type": side,
        "deviation": _DEVIATION_POINTS,
        **{name: value for name, value in optional.items() if value is not None},
    }
    result = None
    for _ in range(_TRIES if price is None else 1):
        result = trades.order_send({**request, "price": price or _current(side, symbol)})
        if result is None or result.retcode not in _AGAIN:
            break
    return result


def _current(side: int, symbol: str) -> float:
    tick: Any = package.symbol_info_tick(symbol)
    price: float = tick.ask if side == mt5.ORDER_TYPE_BUY else tick.bid
    return price
