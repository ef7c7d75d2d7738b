# SPDX-License-Identifier: Apache-2.0
"""Where prices may lie. Source: MQL5 articles "The checks a trading robot must pass", sections on
StopsLevel and FreezeLevel; MT5.md 5. Prices move: the broker has the last word.
"""

from decimal import Decimal
from typing import Literal

from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.errors import BrokenLimit
from mt5_sidecar.orders.symbols import Symbol

INVALID_PRICE = 10015
INVALID_STOPS = 10016
FROZEN = 10029

_LIMITS = (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT)
_BELOW_THE_MARKET = (
    mt5.ORDER_TYPE_BUY_LIMIT,
    mt5.ORDER_TYPE_SELL_STOP,
    mt5.ORDER_TYPE_SELL_STOP_LIMIT,
)


def buying(order_type: int) -> bool:
    """Tell whether an ORDER_TYPE_ or POSITION_TYPE_ buys: all of them alternate."""
    return order_type % 2 == 0


def check_digits(name: str, price: Decimal, symbol: Symbol) -> None:
    """Let pass a price on the symbol's ticks.

    Raises:
        BrokenLimit: `tick_size`.
    """
    if price < 0 or (symbol.tick_size and price % symbol.tick_size != 0):
        raise BrokenLimit(
            "tick_size",
            value=f"{name} {price}",
            allowed=f"a multiple of {symbol.tick_size}",
            retcode=INVALID_PRICE,
        )


def check_pending_price(order_type: int, price: Decimal, symbol: Symbol) -> None:
    """Let pass a waiting order's price on its side of the market, far enough away.

    Raises:
        BrokenLimit: `stops_level`.
    """
    if symbol.execution == mt5.SYMBOL_TRADE_EXECUTION_EXCHANGE and order_type in _LIMITS:
        # Source: metatrader5.com help, "Types of orders": an exchange takes any price of a limit
        # order, and fills at once what is beyond the market, at no worse a price.
        return
    market = symbol.ask if buying(order_type) else symbol.bid
    below = order_type in _BELOW_THE_MARKET
    distance = market - price if below else price - market
    if market and (distance <= 0 or distance < symbol.stops_distance):
        side = "below" if below else "above"
        allowed = f"{symbol.stops_level} points or more {side} {market}"
        raise BrokenLimit("stops_level", value=price, allowed=allowed, retcode=INVALID_PRICE)


def check_stop_limit_price(order_type: int, trigger: Decimal, price: Decimal) -> None:
    """Let pass a limit price that a stop-limit order can be filled at once triggered.

    Raises:
        BrokenLimit: `stop_limit_price`.
    """
    fits = price <= trigger if buying(order_type) else price >= trigger
    if price <= 0 or not fits:
        side = "at or below" if buying(order_type) else "at or above"
        allowed = f"{side} the trigger {trigger}"
        raise BrokenLimit("stop_limit_price", value=price, allowed=allowed, retcode=INVALID_PRICE)


def check_stops(
    *, is_buy: bool, reference: Decimal, sl: Decimal, tp: Decimal, symbol: Symbol
) -> None:
    """Let pass stops on their sides of `reference`, far enough away; 0 is no stop.

    `reference` is the price at which the position would be closed now, or the waiting price; 0
    where there is none.

    Raises:
        BrokenLimit: `stops_level`.
    """
    _check_stop("sl", sl, reference, below=is_buy, symbol=symbol)
    _check_stop("tp", tp, reference, below=not is_buy, symbol=symbol)


def check_not_frozen(name: str, level: Decimal, market: Decimal, symbol: Symbol) -> None:
    """Let pass a change of what is not about to happen; 0 is no level.

    Raises:
        BrokenLimit: `freeze_level`.
    """
    if level and symbol.freeze_level and abs(market - level) <= symbol.freeze_distance:
        raise BrokenLimit(
            "freeze_level",
            value=f"{name} {level}",
            allowed=f"a change more than {symbol.freeze_level} points from {market}",
            retcode=FROZEN,
        )


def _check_stop(
    name: Literal["sl", "tp"], stop: Decimal, reference: Decimal, *, below: bool, symbol: Symbol
) -> None:
    if not stop or not reference:
        return
    distance = reference - stop if below else stop - reference
    if distance <= 0 or distance < symbol.stops_distance:
        side = "below" if below else "above"
        allowed = f"{symbol.stops_level} points or more {side} {reference}"
        raise BrokenLimit(
            "stops_level", value=f"{name} {stop}", allowed=allowed, retcode=INVALID_STOPS
        )
