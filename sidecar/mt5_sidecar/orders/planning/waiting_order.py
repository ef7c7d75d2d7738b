# SPDX-License-Identifier: Apache-2.0
"""What may be done with an order that waits: change it, remove it."""

from decimal import Decimal

from msgspec import UNSET

from mt5_agent.protocol import Order
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.bodies import ModifyOrder
from mt5_sidecar.orders.errors import BadBody
from mt5_sidecar.orders.expirations import expiration
from mt5_sidecar.orders.planning.terms import ZERO, Plan, Terms, changed, check_stop_modes
from mt5_sidecar.orders.requests import request
from mt5_sidecar.orders.rules import modes, prices
from mt5_sidecar.orders.symbols import Symbol, decimal

STOP_LIMITS = (mt5.ORDER_TYPE_BUY_STOP_LIMIT, mt5.ORDER_TYPE_SELL_STOP_LIMIT)
# Our name of a price, and the package's field of a waiting order.
FIELDS = {"price": "price_open", "stop_limit_price": "price_stoplimit", "sl": "sl", "tp": "tp"}


def plan_modify_order(body: ModifyOrder, order: Order, symbol: Symbol, terms: Terms) -> Plan:
    """Return the request that moves a waiting order; what is left out stays as it is.

    Raises:
        BadTrade: A price does not fit, or the order is too near to being filled.
    """
    _check_parts(body, order)
    before = {name: decimal(getattr(order, field)) for name, field in FIELDS.items()}
    after = {name: changed(getattr(body, name), before[name]) for name in FIELDS}
    _check_changes(order, before, after, symbol)
    type_time, until_s = _expiration(body, order, symbol, terms)
    built = request(
        action=mt5.TRADE_ACTION_MODIFY,
        order=order.ticket,
        symbol=symbol.name,
        price=after["price"],
        stoplimit=after["stop_limit_price"],
        sl=after["sl"],
        tp=after["tp"],
        type_time=type_time,
        expiration=until_s,
    )
    context = {**terms.context, **{name: float(value) for name, value in before.items()}}
    ends = {"type_time": order.type_time, "expiration": order.time_expiration}
    return Plan(request=built, context={**context, **ends})


def plan_cancel(order: Order, symbol: Symbol, terms: Terms) -> Plan:
    """Return the request that removes a waiting order.

    Raises:
        BadTrade: It is too near to being filled.
    """
    market = symbol.ask if prices.buying(order.type) else symbol.bid
    prices.check_not_frozen("price", decimal(order.price_open), market, symbol)
    built = request(action=mt5.TRADE_ACTION_REMOVE, order=order.ticket, symbol=symbol.name)
    return Plan(request=built, context=terms.context)


def _check_parts(body: ModifyOrder, order: Order) -> None:
    if body.stop_limit_price is not UNSET and order.type not in STOP_LIMITS:
        # The broker would pass it over, and call it done.
        raise BadBody("stop_limit_price belongs to stop_limit orders", field="stop_limit_price")
    if body.price is not UNSET and not body.price:
        raise BadBody("an order that waits needs a price", field="price")


def _check_changes(
    order: Order, before: dict[str, Decimal], after: dict[str, Decimal], symbol: Symbol
) -> None:
    market = symbol.ask if prices.buying(order.type) else symbol.bid
    prices.check_not_frozen("price", before["price"], market, symbol)
    moved = {name: after[name] if after[name] != before[name] else ZERO for name in after}
    for name, price in moved.items():
        prices.check_digits(name, price, symbol)
    if moved["price"]:
        prices.check_pending_price(order.type, after["price"], symbol)
    if order.type in STOP_LIMITS:
        prices.check_stop_limit_price(order.type, after["price"], after["stop_limit_price"])
    check_stop_modes(moved["sl"], moved["tp"], symbol)
    fills_at = "stop_limit_price" if order.type in STOP_LIMITS else "price"
    prices.check_stops(
        is_buy=prices.buying(order.type),
        reference=after[fills_at],
        sl=moved["sl"],
        tp=moved["tp"],
        symbol=symbol,
    )


def _expiration(body: ModifyOrder, order: Order, symbol: Symbol, terms: Terms) -> tuple[int, int]:
    if body.expiration is UNSET:
        return order.type_time, order.time_expiration
    found = expiration(body.expiration, utc_offset_s=terms.utc_offset_s, now_s=terms.now_s)
    modes.check_expiration_mode(found[0], symbol)
    return found
