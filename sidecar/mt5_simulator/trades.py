# SPDX-License-Identifier: Apache-2.0
"""The package's functions for positions, orders, history and trading."""

from collections.abc import Sequence
from typing import Any

from mt5_simulator import structs
from mt5_simulator.arguments import (
    BadArgument,
    named,
    period,
    real,
    symbol,
    ticket,
    trade_request,
    whole,
)
from mt5_simulator.client import CONNECTION
from mt5_simulator.structs import S, many


def positions_total() -> int | None:
    """Return how many positions are open."""
    return _count(CONNECTION.call("positions_get", "", 0, ""))


def positions_get(*args: Any, **kwargs: Any) -> tuple[structs.TradePosition, ...] | None:
    """By keyword: return open positions; `ticket` beats `symbol` beats `group`."""
    return many(structs.TradePosition, _held("positions_get", args, kwargs))


def orders_total() -> int | None:
    """Return how many orders wait."""
    return _count(CONNECTION.call("orders_get", "", 0, ""))


def orders_get(*args: Any, **kwargs: Any) -> tuple[structs.TradeOrder, ...] | None:
    """By keyword: return waiting orders; `ticket` beats `symbol` beats `group`."""
    return many(structs.TradeOrder, _held("orders_get", args, kwargs))


def history_orders_total(*args: Any) -> int | None:
    """`date_from, date_to`: return how many orders ended within, on the broker's clock."""
    return _count(_past("history_orders_get", args, {}))


def history_deals_total(*args: Any) -> int | None:
    """`date_from, date_to`: return how many deals were made within, on the broker's clock."""
    return _count(_past("history_deals_get", args, {}))


def history_orders_get(*args: Any, **kwargs: Any) -> tuple[structs.TradeOrder, ...] | None:
    """Return ended orders: two dates, or only a ticket or a position."""
    return many(structs.TradeOrder, _past("history_orders_get", args, kwargs))


def history_deals_get(*args: Any, **kwargs: Any) -> tuple[structs.TradeDeal, ...] | None:
    """Return deals: two dates, or only a ticket or a position."""
    return many(structs.TradeDeal, _past("history_deals_get", args, kwargs))


def order_check(*args: Any, **kwargs: Any) -> structs.OrderCheckResult | None:
    """Return the terminal's opinion of a request, without sending it."""
    return _traded(structs.OrderCheckResult, "order_check", args, kwargs)


def order_send(*args: Any, **kwargs: Any) -> structs.OrderSendResult | None:
    """Send a request: one dict, or keywords."""
    return _traded(structs.OrderSendResult, "order_send", args, kwargs)


def order_calc_margin(*args: Any) -> float | None:
    """`action, symbol, volume, price`: return what it would bind, in the account's currency."""
    kinds = (whole, symbol, real, real)
    found: float | None = CONNECTION.asked("order_calc_margin", args, *kinds)
    return found


def order_calc_profit(*args: Any) -> float | None:
    """`action, symbol, volume, price_open, price_close`: return what it would earn."""
    kinds = (whole, symbol, real, real, real)
    found: float | None = CONNECTION.asked("order_calc_profit", args, *kinds)
    return found


def _count(rows: Sequence[Any] | None) -> int | None:
    return None if rows is None else len(rows)


def _held(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        CONNECTION.fail(-2, "Unnamed arguments not allowed")
        return None
    try:
        asked = (_text(kwargs, "symbol"), _number(kwargs, "ticket"), _text(kwargs, "group"))
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return None
    return CONNECTION.call(name, *asked)


def _past(name: str, dates: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        order, position = _number(kwargs, "ticket"), _number(kwargs, "position")
        begin_s, end_s = period(dates, by_number=bool(order or position))
        group = _text(kwargs, "group")
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return None
    return CONNECTION.call(name, begin_s, end_s, group, order, position)


def _traded(kind: type[S], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> S | None:
    try:
        request = trade_request(args, kwargs)
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return None
    answer = CONNECTION.call(name, request)
    if answer is None:
        return None
    return kind((*answer[:-1], structs.TradeRequest(answer[-1])))


def _text(kwargs: dict[str, Any], name: str) -> Any:
    return named(name, str, kwargs.get(name, ""))


def _number(kwargs: dict[str, Any], name: str) -> Any:
    return ticket(name, kwargs.get(name, 0))
