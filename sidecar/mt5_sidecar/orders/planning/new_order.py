# SPDX-License-Identifier: Apache-2.0
"""A new order: market, limit, stop, stop-limit."""

from decimal import Decimal

from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.bodies import NewOrder, order_type_of
from mt5_sidecar.orders.errors import BadBody
from mt5_sidecar.orders.expirations import expiration
from mt5_sidecar.orders.planning.terms import ZERO, Plan, Terms, check_stop_modes, deviation
from mt5_sidecar.orders.records import SENT_OFFSET, Record
from mt5_sidecar.orders.requests import request
from mt5_sidecar.orders.rules import modes, prices, volumes
from mt5_sidecar.orders.symbols import Symbol


def plan_order(record: Record, body: NewOrder, symbol: Symbol, terms: Terms) -> Plan:
    """Return the request of a new order.

    Raises:
        BadTrade: It does not fit the symbol, or its parts do not fit each other.
        NoPrice: A market order, and nobody is on the other side.
    """
    _check_parts(body)
    modes.check_trade_mode(body.side, symbol)
    modes.check_order_mode(body.type, modes.ORDER_MODE_BITS[body.type], symbol)
    volumes.check_volume(body.volume, symbol)
    _check_prices(body, symbol)
    built = _market(body, symbol, terms) if body.type == "market" else _pending(body, symbol, terms)
    built |= {"magic": record.magic, "comment": record.token, "symbol": symbol.name}
    return Plan(request=request(**built), context=terms.context | _clock(record, terms))


def _clock(record: Record, terms: Terms) -> dict[str, float]:
    # Where the caller chose the magic, its time may be what tells it from others.
    if record.own_magic or terms.utc_offset_s is None:
        return {}
    return {SENT_OFFSET: terms.utc_offset_s}


def _check_parts(body: NewOrder) -> None:
    pending = body.type != "market"
    if pending and not body.price:
        raise BadBody(f"a {body.type} order needs a price", field="price")
    if (body.type == "stop_limit") != bool(body.stop_limit_price):
        raise BadBody("stop_limit_price belongs to stop_limit orders", field="stop_limit_price")
    if not pending and body.expiration is not None:
        raise BadBody("a market order does not wait", field="expiration")


def _check_prices(body: NewOrder, symbol: Symbol) -> None:
    for name in ("price", "stop_limit_price", "sl", "tp"):
        if (price := getattr(body, name)) is not None:
            prices.check_digits(name, price, symbol)
    check_stop_modes(body.sl, body.tp, symbol)
    is_buy = body.side == "buy"
    if body.type == "market":
        reference = symbol.bid if is_buy else symbol.ask
    else:
        reference = body.stop_limit_price or body.price or ZERO
    prices.check_stops(
        is_buy=is_buy, reference=reference, sl=body.sl or ZERO, tp=body.tp or ZERO, symbol=symbol
    )


def _market(body: NewOrder, symbol: Symbol, terms: Terms) -> dict[str, int | str | Decimal]:
    is_buy = body.side == "buy"
    return {
        "action": mt5.TRADE_ACTION_DEAL,
        "type": mt5.ORDER_TYPE_BUY if is_buy else mt5.ORDER_TYPE_SELL,
        "volume": body.volume,
        "price": body.price or symbol.price(buying=is_buy),
        "sl": body.sl or ZERO,
        "tp": body.tp or ZERO,
        "deviation": deviation(body.deviation, terms),
        "type_filling": modes.market_filling(body.filling, symbol),
    }


def _pending(body: NewOrder, symbol: Symbol, terms: Terms) -> dict[str, int | str | Decimal]:
    price, trigger_limit = body.price or ZERO, body.stop_limit_price or ZERO
    order_type = order_type_of(body)
    prices.check_pending_price(order_type, price, symbol)
    if body.type == "stop_limit":
        prices.check_stop_limit_price(order_type, price, trigger_limit)
    type_time, until_s = expiration(
        body.expiration, utc_offset_s=terms.utc_offset_s, now_s=terms.now_s
    )
    modes.check_expiration_mode(type_time, symbol)
    return {
        "action": mt5.TRADE_ACTION_PENDING,
        "type": order_type,
        "volume": body.volume,
        "price": price,
        "stoplimit": trigger_limit,
        "sl": body.sl or ZERO,
        "tp": body.tp or ZERO,
        "type_filling": modes.pending_filling(body.filling, body.type, symbol),
        "type_time": type_time,
        "expiration": until_s,
    }
