# SPDX-License-Identifier: Apache-2.0
"""Why an account should move, and what keeps it from moving now."""

from __future__ import annotations

from typing import Final, NamedTuple

from mt5_operator.moving.look import Look, Pod, Slot
from mt5_operator.reasons import Reason
from mt5_operator.spec.account import Disruption
from mt5_operator.spec.parse import seconds
from mt5_operator.spec.status import Trader

# All that `_reason` gives.
REASONS: Final = ("RestartAsked", "TemplateChanged", "NodeLeaving")


class Need(NamedTuple):
    """A reason to move; `held` says why not now, `shown` as what, `until_s` when to look again."""

    reason: str = ""
    held: str = ""
    shown: Reason = Reason.UPDATE_QUEUED
    until_s: float | None = None


def need(look: Look, trader: Trader) -> Need:
    """Return why the account should move now; no reason if it should stay."""
    mine = look.slot(trader.slot)
    if mine.pod is None:
        return Need()
    reason = _reason(look, mine.pod)
    if not reason:
        return Need()
    if mine.serves and not _allowed(look.disruption, reason):
        told = "set the annotation mt5bridge.io/restart-at to move it at a time of your choice"
        held = f"spec.disruption is {look.disruption.value}: {told}"
        return Need(reason, held, Reason.UPDATE_HELD)
    if (until_s := _pause_ends_s(look, trader)) is not None:
        held = f"the last try failed: {look.last.message}" if look.last else ""
        return Need(reason, held, Reason.MOVE_FAILED, until_s)
    return Need(reason)


def goal_of(look: Look, trader: Trader) -> str:
    """Return what a move would be for: moves for one goal are tries of the same; empty for none."""
    pod = look.slot(trader.slot).pod
    reason = _reason(look, pod) if pod else ""
    details = {
        "RestartAsked": f"{look.template}{_at(look.restart_s or 0)}",
        "NodeLeaving": f"{look.template}@{pod.node if pod else ''}",
        "TemplateChanged": look.template,
    }
    return details.get(reason, "")


def in_place(slot: Slot, look: Look) -> bool:
    """Tell whether a slot's own pod may get the template: nothing runs there that could be lost."""
    waits = look.move is None and not slot.replicas  # for its turn: it has no place
    unused = slot.pod is None and (look.suspended or look.trader is None or waits)
    free = unused or slot.stuck
    # A volume of one platform cannot be mounted on the other.
    return free and (not look.volume or slot.platform in ("", look.platform))


def _reason(look: Look, pod: Pod) -> str:
    if _restart_due(look, pod):
        return "RestartAsked"
    if pod.template != look.template and not look.resizes:
        return "TemplateChanged"
    return "NodeLeaving" if pod.leaving else ""


def moves_anyway(look: Look, pod: Pod) -> bool:
    """Tell whether a pod has to be replaced, whatever becomes of its template."""
    return _restart_due(look, pod) or pod.leaving


def _restart_due(look: Look, pod: Pod) -> bool:
    if look.restart_s is None or pod.created_s >= look.restart_s:
        return False
    # Pods are dated by the API server's clock: where ours is ahead of it, the pod that the restart
    # brought looks older than the restart.
    last = look.last
    return last is None or last.outcome != "Done" or not last.goal.endswith(_at(look.restart_s))


def _at(moment_s: float) -> str:
    return f"@{moment_s}"


def _allowed(disruption: Disruption, reason: str) -> bool:
    if reason == "RestartAsked" or disruption is Disruption.ALWAYS:
        return True
    return disruption is Disruption.ON_UPGRADE and reason == "TemplateChanged"


def _pause_ends_s(look: Look, trader: Trader) -> float | None:
    last, limits = look.last, look.limits
    if last is None or last.outcome != "Failed" or last.goal != goal_of(look, trader):
        return None
    pause_s = min(limits.backoff_max_s, limits.backoff_min_s * 2 ** (min(last.failures, 20) - 1))
    ends_s = seconds(last.at) + pause_s
    return ends_s if look.now_s < ends_s else None
