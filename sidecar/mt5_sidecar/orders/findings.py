# SPDX-License-Identifier: Apache-2.0
"""From orders, deals and positions that are ours to the verdict that they amount to."""

from decimal import Decimal

from mt5_agent.protocol import Deal, Order, Position
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders import evidence
from mt5_sidecar.orders.outcomes import Evidence, Reason, Verdict
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.sight import Sight
from mt5_sidecar.orders.symbols import decimal

_ENDED = (mt5.ORDER_STATE_CANCELED, mt5.ORDER_STATE_EXPIRED, mt5.ORDER_STATE_REJECTED)
# The broker has not accepted it yet, and may not.
_UNDECIDED = (mt5.ORDER_STATE_STARTED, mt5.ORDER_STATE_REQUEST_ADD)


def executing(record: Record, sight: Sight) -> bool:
    """Tell whether the broker holds an order of ours that it has not decided on."""
    done = {order.ticket for order in sight.past_orders}
    held = [order for order in sight.orders if order.ticket not in done]
    return any(
        (order.ticket not in done and not _waits(record))
        or _by_order(record, order, by, sight) is None
        for order, by in evidence.marked_orders(record, (*sight.past_orders, *held))
    )


def found(record: Record, sight: Sight, *, order: Order | None = None) -> Verdict | None:
    """Return what became of `record` where something of it is seen, else None.

    `order`: one that is ours by its shape.
    """
    if order is not None:
        return _by_order(record, order, "shape", sight)
    if record.operation == "close_by" and (verdict := _by_pair(record, sight)):
        return verdict
    # History first: an order that was seen waiting may have moved on during the look.
    for orders in (sight.past_orders, sight.orders):
        for ours, by in evidence.marked_orders(record, orders):
            return _by_order(record, ours, by, sight)
    if deals := evidence.marked_deals(record, sight.deals):
        return _by_deals(record, [deal for deal, _ in deals], deals[0][1])
    return None


def standing(record: Record, sight: Sight) -> Verdict | None:
    """Return that `record` was carried out where a position has its mark; how much is not told.

    The position may have been closed in part since, and on a netting account other orders are in
    it too: only history knows lots and price of this one.
    """
    for held, by in evidence.marked_positions(record, sight.positions):
        opener = _opener(record, held)
        return Verdict(outcome="Done", evidence=by, order=opener, position=held.ticket)
    return None


def _opener(record: Record, held: Position) -> int:
    # A netting position that was turned round keeps its identifier and takes the new order's
    # ticket; a hedging one keeps its order as identifier, whatever the server does to its ticket.
    # Source: MQL5 reference, POSITION_TICKET and POSITION_IDENTIFIER.
    if held.ticket == held.identifier:
        return held.ticket
    hedging = record.context.get("hedging")
    if hedging is None:
        return 0
    return held.identifier if hedging else held.ticket


def _waits(record: Record) -> bool:
    return record.operation == "order" and getattr(record.ask.body, "type", "") != "market"


def _is_live(order: Order, sight: Sight) -> bool:
    # The rest of a waiting order that is filled in part: told `Partial`, it would be sent again.
    return order in sight.orders and all(past.ticket != order.ticket for past in sight.past_orders)


def _by_order(record: Record, order: Order, by: Evidence, sight: Sight) -> Verdict | None:
    deals = evidence.deals_of([order.ticket], sight.deals)
    filled = decimal(order.volume_initial) - decimal(order.volume_current)
    if order.state == mt5.ORDER_STATE_FILLED and not filled:
        # A history that does not say how much: it was made.
        filled = decimal(order.volume_initial)
    if order.state == mt5.ORDER_STATE_REJECTED and not filled:
        return Verdict(outcome="Refused", evidence=by, order=order.ticket, reason="Rejected")
    if filled > 0 and not (_waits(record) and _is_live(order, sight)):
        return _filled(order, deals, by, filled=filled)
    if _waits(record) and order.state not in _UNDECIDED:
        since: Reason = "CanceledSince" if order.state in _ENDED else ""
        return Verdict(
            outcome="Placed",
            evidence=by,
            order=order.ticket,
            volume=decimal(order.volume_initial),
            price=decimal(order.price_open),
            reason=since,
        )
    if order.state in _ENDED:
        return Verdict(outcome="Refused", evidence=by, order=order.ticket, reason="Canceled")
    return None


def _filled(order: Order, deals: list[Deal], by: Evidence, *, filled: Decimal) -> Verdict:
    whole = filled == decimal(order.volume_initial)
    return Verdict(
        outcome="Done" if whole else "Partial",
        evidence=by,
        order=order.ticket,
        deal=deals[0].ticket if deals else 0,
        position=order.position_id,
        volume=filled,
        price=evidence.mean_price(deals),
    )


def _by_deals(record: Record, deals: list[Deal], by: Evidence) -> Verdict:
    volume = sum((decimal(deal.volume) for deal in deals), Decimal(0))
    # A record of an earlier life has no request; what its client asks for says as much.
    wanted = record.request.get("volume") or getattr(record.ask.body, "volume", None) or 0
    part = volume < decimal(float(wanted))
    return Verdict(
        outcome="Partial" if part else "Done",
        evidence=by,
        order=deals[0].order,
        deal=deals[0].ticket,
        position=deals[0].position_id,
        volume=volume,
        price=evidence.mean_price(deals),
    )


def _by_pair(record: Record, sight: Sight) -> Verdict | None:
    # Two positions can be closed by each other once: it empties one of them. Each may have been
    # closed by others before, so both halves must be of one order.
    pair = {record.ask.ticket, getattr(record.ask.body, "position_by", 0)}
    halves: dict[int, list[Deal]] = {}
    for deal in sight.deals:
        if deal.entry == mt5.DEAL_ENTRY_OUT_BY:
            halves.setdefault(deal.order, []).append(deal)
    for order, deals in halves.items():
        if order not in sight.claimed and {deal.position_id for deal in deals} == pair:
            return Verdict(
                outcome="Done",
                evidence="state",
                order=order,
                deal=deals[0].ticket,
                position=record.ask.ticket,
                volume=decimal(deals[0].volume),
                price=decimal(deals[0].price),
            )
    return None
