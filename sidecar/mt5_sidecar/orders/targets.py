# SPDX-License-Identifier: Apache-2.0
"""Changes and removals leave no mark, but their target shows them.

It is as asked, or as it was before, or neither: then nobody can tell any more.
"""

from collections.abc import Iterable, Mapping

from mt5_agent.protocol import Order
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.expirations import DAY_S
from mt5_sidecar.orders.outcomes import Reason, Verdict
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.sight import Sight

# Half of the smallest step that any symbol has.
SAME = 5e-9

_ORDER_FIELDS = {
    "price": "price_open",
    "stoplimit": "price_stoplimit",
    "sl": "sl",
    "tp": "tp",
    "type_time": "type_time",
    "expiration": "time_expiration",
}
_REMEMBERED = {"stoplimit": "stop_limit_price"}
# Ends that are no moment of their own: servers say none, or when the day is over.
_WITHOUT_MOMENT = (mt5.ORDER_TIME_GTC, mt5.ORDER_TIME_DAY)

# Of one that was filled in part, the rest.
_REMOVED = (mt5.ORDER_STATE_CANCELED, mt5.ORDER_STATE_PARTIAL)
_REQUESTED = (mt5.ORDER_STATE_REQUEST_MODIFY, mt5.ORDER_STATE_REQUEST_CANCEL)

CHANGES = {"modify_position": ("sl", "tp"), "modify_order": tuple(_ORDER_FIELDS)}
"""What each kind of change sets, by the request's names."""


def judged_by_target(record: Record, sight: Sight) -> Verdict | None:
    """Return the verdict that the target shows; None where it is as before: that takes time."""
    match record.operation:
        case "modify_position":
            return _position(record, sight)
        case "modify_order":
            return _order(record, sight)
        case _:
            return _removal(record, sight)


def being_worked_on(record: Record, sight: Sight) -> bool:
    """Tell whether the broker has a request about the target and has not decided on it."""
    return any(
        order.ticket == record.ask.ticket and order.state in _REQUESTED for order in sight.orders
    )


def as_asked_already(record: Record) -> bool:
    """Tell whether the target was as asked before anything was sent: then nothing need be.

    A retry whose journal is lost meets its own change here.
    """
    compared = CHANGES.get(record.operation, ())
    return bool(compared) and _same(_before(record, compared), _wanted(record, compared))


def _position(record: Record, sight: Sight) -> Verdict | None:
    for held in sight.positions:
        if held.ticket == record.ask.ticket:
            return _compared(record, {"sl": held.sl, "tp": held.tp}, position=held.ticket)
    return _gone(record)


def _order(record: Record, sight: Sight) -> Verdict | None:
    order = _last_seen(record.ask.ticket, sight)
    if order is None:
        return _gone(record)
    now = {name: float(getattr(order, field)) for name, field in _ORDER_FIELDS.items()}
    return _compared(record, now, order=order.ticket)


def _removal(record: Record, sight: Sight) -> Verdict | None:
    order = _last_seen(record.ask.ticket, sight)
    if order is None:
        return _gone(record)
    if order in sight.orders:
        return None
    if order.state in _REMOVED:
        return Verdict(outcome="Done", evidence="state", order=order.ticket)
    return Verdict(
        outcome="NotSent", evidence="state", reason="TargetGone", detail="the order ended otherwise"
    )


def _last_seen(ticket: int, sight: Sight) -> Order | None:
    # History first: what is in both moved there during the look.
    for order in (*sight.past_orders, *sight.orders):
        if order.ticket == ticket:
            return order
    return None


def _compared(
    record: Record, now: Mapping[str, float], *, position: int = 0, order: int = 0
) -> Verdict | None:
    if _same(now, _wanted(record, now)):
        return Verdict(outcome="Done", evidence="state", position=position, order=order)
    if _same(now, _before(record, now)):
        return None
    return _unknowable(record, "Superseded", "something else has changed it since")


def _gone(record: Record) -> Verdict | None:
    return _unknowable(record, "TargetGone", "it ended before anybody could look")


def _unknowable(record: Record, reason: Reason, detail: str) -> Verdict:
    return Verdict(
        outcome="Unknown",
        evidence="none",
        final=True,
        retcode=record.verdict.retcode,
        reason=reason,
        detail=detail,
    )


def _wanted(record: Record, names: Iterable[str]) -> dict[str, float]:
    return {name: float(record.request.get(name, 0.0)) for name in names}


def _before(record: Record, names: Iterable[str]) -> dict[str, float]:
    return {name: record.context.get(_REMEMBERED.get(name, name), 0.0) for name in names}


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    one, other = _by_their_ends(one), _by_their_ends(other)
    return all(abs(one[name] - other[name]) < SAME for name in one)


def _by_their_ends(values: Mapping[str, float]) -> Mapping[str, float]:
    """Return `values` with what of the end is the client's, and not the server's to say."""
    kind = values.get("type_time")
    if kind in _WITHOUT_MOMENT:
        return {**values, "expiration": 0.0}
    if kind == mt5.ORDER_TIME_SPECIFIED_DAY:
        # Any moment of that day: a server may say its end.
        return {**values, "expiration": values["expiration"] // DAY_S}
    return values
