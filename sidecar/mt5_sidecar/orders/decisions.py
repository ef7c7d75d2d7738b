# SPDX-License-Identifier: Apache-2.0
"""What one look at the account says of a trade whose outcome is unknown. Pure.

Found, or proven absent, or wait. Absence is proven only by a whole look at a terminal that had
been connected for the settle time, begun after the last moment at which the order could appear.
"""

import msgspec

from mt5_sidecar.orders.errors import NotACandidate, NotAmbiguous, Settling
from mt5_sidecar.orders.evidence import lookalikes
from mt5_sidecar.orders.findings import executing, found, standing
from mt5_sidecar.orders.outcomes import Verdict, Wait, listed
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.sight import Sight
from mt5_sidecar.orders.targets import being_worked_on, judged_by_target


def decide(record: Record, sight: Sight, settings: OrderSettings) -> Verdict | Wait:
    """Return what became of `record`, or why that cannot be said yet."""
    if record.state == "intent":
        return Verdict(outcome="NotSent", evidence="never_called", reason="NeverCalled", retry=True)
    if record.operation in ("modify_order", "modify_position", "cancel_order"):
        return _by_target(record, sight, settings)
    if executing(record, sight):
        return Wait("Executing")
    if (verdict := found(record, sight)) and not _may_grow(verdict, sight):
        return verdict
    if verdict := verdict or standing(record, sight):
        # It was made; history, which says how much, has as long as absence would have.
        absent = _absent(record, sight, settings)
        return absent if isinstance(absent, Wait) else verdict
    return _unmarked(record, sight, settings)


def as_said(
    record: Record, sight: Sight, settings: OrderSettings, *, order: int, by: str
) -> Verdict:
    """Return what became of `record`, of which a person (`by`) says that it is `order`; 0: none.

    Raises:
        NotAmbiguous: No person need say: a look tells it, or will.
        Settling: What else could be it may not be shown yet, or that order is not decided on.
        NotACandidate: No look has found that it could be it.
    """
    waits = decide(record, sight, settings)
    if not isinstance(waits, Wait) or waits.reason != "Ambiguous":
        why = waits.reason if isinstance(waits, Wait) else waits.outcome
        raise NotAmbiguous(f"a look tells what became of {record.key}: {why}")
    absent = _absent(record, sight, settings)
    if isinstance(absent, Wait):
        raise Settling("more orders that could be it may appear", retry_after_s=1)
    if order and order not in waits.candidates:
        raise NotACandidate(waits.detail, candidates=waits.candidates)
    known = _chosen(record, sight, settings, order) if order else absent
    if known is None:
        raise Settling(f"the broker has not decided on {order} yet", retry_after_s=1)
    return msgspec.structs.replace(
        known,
        evidence="person",
        reason=known.reason if order else "",
        detail=f"a person said so: {order or 'none'} of {listed(waits.candidates)}",
        said_by=by,
    )


def provable_ms(record: Record, connected_ms: int, settings: OrderSettings) -> int:
    """Return from when on a look can prove absence (UTC).

    The request reached the agent before the call ended here, or before the restart that noted it
    (`ended_ms`); the agent may begin it until its own deadline after that, and not later.
    """
    handed_over_ms = max(record.sent_ms, record.ended_ms)
    last_call_ms = handed_over_ms + int(settings.call_timeout_s * 1000)
    return max(last_call_ms, connected_ms) + int(settings.settle_s * 1000)


def _unmarked(record: Record, sight: Sight, settings: OrderSettings) -> Verdict | Wait:
    alike = lookalikes(record, sight, proof_ms=settings.proof_ms)
    if len(alike) > 1:
        return Wait("Ambiguous", tuple(order.ticket for order in alike))
    if alike:
        return found(record, sight, order=alike[0]) or Wait("Executing")
    return _absent(record, sight, settings)


def _chosen(record: Record, sight: Sight, settings: OrderSettings, ticket: int) -> Verdict | None:
    for order in lookalikes(record, sight, proof_ms=settings.proof_ms):
        if order.ticket == ticket:
            return found(record, sight, order=order)
    return None


def _may_grow(verdict: Verdict, sight: Sight) -> bool:
    # Deals whose order is not shown yet: it may be filled by more of them.
    return verdict.outcome == "Partial" and all(
        order.ticket != verdict.order for order in sight.all_orders
    )


def _by_target(record: Record, sight: Sight, settings: OrderSettings) -> Verdict | Wait:
    verdict = judged_by_target(record, sight)
    if verdict is not None and verdict.outcome != "Unknown":
        return verdict
    if being_worked_on(record, sight):
        return Wait("Executing")
    # "As before" and "cannot be told any more" are both claims about what did not happen.
    absent = _absent(record, sight, settings)
    return absent if isinstance(absent, Wait) else verdict or absent


def _absent(record: Record, sight: Sight, settings: OrderSettings) -> Verdict | Wait:
    if sight.taken_ms < provable_ms(record, sight.connected_ms, settings):
        return Wait("Settling")
    patient_until_ms = record.sent_ms + int(settings.witness_patience_s * 1000)
    if not sight.whole and sight.taken_ms < patient_until_ms:
        return Wait("HistoryIncomplete")
    return Verdict(
        outcome="NotSent",
        evidence="absence",
        reason="ProvenAbsent",
        detail="neither among orders and positions nor in history",
        retry=True,
    )
