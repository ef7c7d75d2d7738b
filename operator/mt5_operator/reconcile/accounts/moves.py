# SPDX-License-Identifier: Apache-2.0
"""Take the steps that the machine asks for: writes of the status, calls of sidecars.

Who may trade is on the API server before a sidecar is told so: `SetTrader` and `SetMove` are
written against the version that was looked at, so a leader of the past overwrites nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import structlog

from mt5_operator import metrics
from mt5_operator.cluster.kinds import POD
from mt5_operator.errors import Conflict, NotFound, SidecarUnreachable
from mt5_operator.moving.look import Look
from mt5_operator.moving.steps import Confirm, Fence, SetMove, SetTrader, Step, TakeOver, Wait
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.accounts import telling
from mt5_operator.reconcile.context import Context, micro_text
from mt5_operator.reconcile.owned import pod_key
from mt5_operator.reconcile.pods import certainty
from mt5_operator.reconcile.pods.slots import Both, target
from mt5_operator.spec.account import Priority
from mt5_operator.spec.parse import Account, Manifest, seconds
from mt5_operator.spec.status import Move
from mt5_operator.status.seen import OrdersSeen, PodSeen, Seen

_log = structlog.get_logger()


@dataclass(frozen=True)
class Taken:
    """What came of a step: whether to look for the next one, else why not and for how long."""

    done: bool
    why: str = ""
    again_s: float | None = None


DONE: Final = Taken(done=True)


def waits(why: str = "", again_s: float | None = None) -> Taken:
    """Return that there is nothing to do now."""
    return Taken(done=False, why=why, again_s=again_s)


def pause_s(look: Look, step: Wait) -> float | None:
    """Return the seconds until a waiting account should be looked at without being told."""
    looks = [] if step.until_s is None else [step.until_s - look.now_s + 0.05]
    if look.move and look.move.phase in ("HandingOver", "Returning"):
        looks.append(look.limits.look_s)  # orders wait
    if look.move and look.move.phase == "Starting":
        looks.append(seconds(look.move.started) + look.limits.deadline_s - look.now_s + 1)
    # What is over brings nothing new by looking: the watches tell what does.
    return min((pause for pause in looks if pause > 0), default=None)


async def take(
    context: Context,
    manifest: Manifest,
    account: Account,
    look: Look,
    both: Both,
    seen: Seen,
    step: Step,
) -> Taken:
    """Take one step.

    Raises:
        ApiError, ApiUnavailable: it was not written; try again.
    """
    if isinstance(step, SetTrader):
        await telling.tell(context, manifest, replace(seen, trader=step.trader))
        return DONE
    if isinstance(step, SetMove):
        return await _set_move(context, manifest, account, look, seen, step)
    if isinstance(step, Wait):
        return waits(step.why)
    if isinstance(step, Confirm):
        why, again_s = await certainty.look(context, manifest, account, step.trader)
        return waits(why, again_s) if why else DONE
    return await _call(context, account, both, step)


async def remove_outdated(context: Context, account: Account, look: Look) -> None:
    """Delete a new slot's pod that was made of a template that is wanted no more."""
    move = look.move
    if move is None or move.phase != "Starting" or (look.trader and look.trader.slot == move.to):
        return
    pod = look.slot(move.to).pod
    if pod is None or pod.ending or pod.template == move.template:
        return
    try:
        await context.world.api.delete(POD, pod_key(account.key, move.to), uid=pod.uid)
    except (NotFound, Conflict):
        return  # another pod by now


async def watch(context: Context, manifest: Manifest, account: Account, look: Look) -> None:
    """Count an account that is lost soon after its move as a move that failed.

    An image may connect, take over, and break; the next account must not follow it at once.
    """
    last, trader = look.last, look.trader
    if look.move or look.suspended or trader is None or last is None or last.outcome != "Done":
        return
    after_s = look.now_s - seconds(last.at)
    if after_s > context.world.settings.move_proven_s or look.slot(trader.slot).serves:
        return
    if context.fleet.lost(account.key, last.at):
        metrics.MOVES_REGRETTED.inc()
        _log.warning("lost after its move", account=str(account.key), after_s=round(after_s, 1))
        note = f"lost {after_s:.0f} s after it moved: this counts as a failed move"
        await _event(context, manifest, Reason.LOST_AFTER_MOVE, note, warning=True)


# Writes.


async def _set_move(
    context: Context, manifest: Manifest, account: Account, look: Look, seen: Seen, step: SetMove
) -> Taken:
    begins = look.move is None and step.move is not None
    if begins and step.move and (refused := _asked(context, account, look, step.move)):
        return refused
    await telling.tell(context, manifest, replace(seen, move=step.move, last_move=step.last))
    if begins and step.move:
        await _began(context, manifest, step.move)
    elif step.move is None and look.move is not None:
        await _ended(context, manifest, account, look, step, look.move)
    return DONE


def _asked(context: Context, account: Account, look: Look, move: Move) -> Taken | None:
    slot = look.slot("a" if move.to == "b" else "b")
    vip = account.spec.priority is Priority.VIP
    answer = context.fleet.ask(account.key, vip=vip, reason=move.reason, serves=slot.serves)
    if answer.granted:
        return None
    return waits(answer.why, max(0.05, answer.until_s - look.now_s))


async def _began(context: Context, manifest: Manifest, move: Move) -> None:
    _log.info("move began", account=manifest["metadata"]["name"], to=move.to, reason=move.reason)
    note = f"moving to slot {move.to}: {move.reason}"
    await _event(context, manifest, Reason.MOVING, note, warning=False)


async def _ended(
    context: Context, manifest: Manifest, account: Account, look: Look, step: SetMove, move: Move
) -> None:
    # A move that nobody wants any more leaves the last one as it was.
    ended = step.last if step.last != look.last else None
    outcome = ended.outcome if ended else "Cancelled"
    unplaced = ended is not None and bool(ended.unplaced)
    context.fleet.over(account.key, failed=outcome == "Failed", unplaced=unplaced)
    metrics.MOVES.labels(move.reason, outcome).inc()
    took_s = look.now_s - seconds(move.started)
    if outcome == "Done":
        metrics.MOVE_SECONDS.observe(took_s)
    message = ended.message if ended else ""
    _log.info(
        "move ended",
        account=str(account.key),
        to=move.to,
        outcome=outcome,
        message=message,
        took_s=round(took_s, 1),
    )
    told = {"Done": f"moved to slot {move.to} in {took_s:.0f} s"}
    note = told.get(outcome, message or "the move is not wanted any more")
    failed = outcome == "Failed"
    ends = {"Done": Reason.MOVED, "Failed": Reason.MOVE_FAILED}
    reason = ends.get(outcome, Reason.MOVE_CANCELLED)
    await _event(context, manifest, reason, note, warning=failed)


async def _event(
    context: Context, manifest: Manifest, reason: Reason, note: str, *, warning: bool
) -> None:
    now = micro_text(context.world.now())
    await context.events.tell(manifest, reason.value, note, warning=warning, now=now)


# Calls.


async def _call(context: Context, account: Account, both: Both, step: Fence | TakeOver) -> Taken:
    pod, retry_s = both.pods[step.slot], context.world.settings.move_look_s
    if pod is None:
        return waits("the pod is gone", retry_s)
    key, name = pod_key(account.key, step.slot), type(step).__name__
    try:
        if isinstance(step, Fence):
            orders = await _fence(context, both, pod, step)
        else:
            orders = await _take_over(context, both, pod, step)
    except SidecarUnreachable as error:
        metrics.TRADE_CALLS.labels(name, "failed").inc()
        _log.warning("trade call failed", call=name, pod=str(key), error=str(error))
        context.watcher.hear(key, target(pod), None)
        return waits(f"slot {step.slot}: {error}", retry_s)
    metrics.TRADE_CALLS.labels(name, "done").inc()
    _log.info("trade call", call=name, pod=str(key), epoch=orders.epoch, active=orders.active)
    context.watcher.hear(key, target(pod), orders)
    return DONE


async def _fence(context: Context, both: Both, pod: PodSeen, step: Fence) -> OrdersSeen:
    sidecar = both.sidecars[step.slot]
    if sidecar and sidecar.orders and sidecar.orders.epoch < step.epoch:
        await context.sidecars.activate(target(pod), step.epoch)
    return await context.sidecars.fence(target(pod))


async def _take_over(context: Context, both: Both, pod: PodSeen, step: TakeOver) -> OrdersSeen:
    source = both.pods[step.source] if step.source else None
    if step.source and source is None:
        raise SidecarUnreachable("the slot with the keys is gone")
    if source:
        await context.sidecars.hand_over(target(source), target(pod))
    return await context.sidecars.activate(target(pod), step.epoch)
