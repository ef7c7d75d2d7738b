# SPDX-License-Identifier: Apache-2.0
"""What may be done with an open position: close it, close it by another, move its stops."""

from decimal import Decimal

from mt5_agent.protocol import Position
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.bodies import CloseBy, ClosePosition, ModifyPosition
from mt5_sidecar.orders.errors import BadTrade
from mt5_sidecar.orders.planning.terms import (
    ZERO,
    Plan,
    Terms,
    changed,
    check_stop_modes,
    deviation,
)
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.requests import request
from mt5_sidecar.orders.rules import modes, prices, volumes
from mt5_sidecar.orders.symbols import Symbol, decimal


def plan_close(
    record: Record, body: ClosePosition, position: Position, symbol: Symbol, terms: Terms
) -> Plan:
    """Return the request that closes all or part of `position`, by its ticket.

    Raises:
        BadTrade: The symbol does not allow it now.
        NoPrice: Nobody is on the other side.
    """
    held = decimal(position.volume)
    volume = held if body.volume is None else body.volume
    modes.check_can_close(symbol)
    volumes.check_close_volume(volume, held, symbol)
    price = symbol.price(buying=position.type != 0)
    for name, level in (("sl", position.sl), ("tp", position.tp)):
        prices.check_not_frozen(name, decimal(level), price, symbol)
    built = request(
        action=mt5.TRADE_ACTION_DEAL,
        symbol=symbol.name,
        type=mt5.ORDER_TYPE_SELL if position.type == 0 else mt5.ORDER_TYPE_BUY,
        volume=volume,
        price=price,
        position=position.ticket,
        deviation=deviation(body.deviation, terms),
        type_filling=modes.market_filling(body.filling, symbol),
        magic=record.magic,
        comment=record.token,
    )
    before = {"volume": position.volume, "identifier": position.identifier}
    return Plan(request=built, context={**terms.context, **before})


def plan_close_by(
    record: Record, body: CloseBy, pair: tuple[Position, Position], symbol: Symbol, terms: Terms
) -> Plan:
    """Return the request that closes two opposite positions against each other.

    Raises:
        BadTrade: They are not opposite positions of one symbol of a hedging account.
    """
    one, other = pair
    modes.check_order_mode("close_by", mt5.SYMBOL_ORDER_CLOSEBY, symbol)
    if not terms.hedging:
        raise BadTrade("close-by exists on hedging accounts only", limit="margin_mode")
    if one.symbol != other.symbol or one.type == other.type:
        raise BadTrade("close-by takes two opposite positions of one symbol", limit="position_by")
    built = request(
        action=mt5.TRADE_ACTION_CLOSE_BY,
        symbol=symbol.name,
        position=one.ticket,
        position_by=body.position_by,
        magic=record.magic,
        comment=record.token,
    )
    return Plan(request=built, context=terms.context)


def plan_modify_position(
    body: ModifyPosition, position: Position, symbol: Symbol, terms: Terms
) -> Plan:
    """Return the request that sets the stops of `position`.

    Raises:
        BadTrade: A stop does not fit.
    """
    before = {"sl": decimal(position.sl), "tp": decimal(position.tp)}
    after = {name: changed(getattr(body, name), before[name]) for name in before}
    price = _close_price(position, symbol)
    check_stop_modes(after["sl"], after["tp"], symbol)
    for name in ("sl", "tp"):
        if after[name] != before[name]:
            prices.check_not_frozen(name, before[name], price, symbol)
            prices.check_digits(name, after[name], symbol)
    moved = {name: after[name] if after[name] != before[name] else ZERO for name in before}
    prices.check_stops(is_buy=position.type == 0, reference=price, symbol=symbol, **moved)
    built = request(
        action=mt5.TRADE_ACTION_SLTP, position=position.ticket, symbol=symbol.name, **after
    )
    return Plan(request=built, context={**terms.context, "sl": position.sl, "tp": position.tp})


def _close_price(position: Position, symbol: Symbol) -> Decimal:
    return symbol.bid if position.type == 0 else symbol.ask
