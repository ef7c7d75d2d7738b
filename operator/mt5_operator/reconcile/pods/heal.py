# SPDX-License-Identifier: Apache-2.0
"""Do for an account what the ladder says: the budget is paid in its status before the step."""

from __future__ import annotations

from typing import Final

import structlog

from mt5_operator import metrics
from mt5_operator.cluster.kinds import POD, STATEFUL_SET
from mt5_operator.errors import Conflict, NotFound
from mt5_operator.healing import LOCAL, Step
from mt5_operator.moving.look import Look, other
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, micro_text, seconds_text
from mt5_operator.reconcile.owned import pod_key, set_key
from mt5_operator.reconcile.pods.refresh import replace_pod
from mt5_operator.spec.parse import Account, Manifest
from mt5_operator.status.seen import PodSeen, Seen
from mt5_operator.status.verdict import serving

_IN_TEMPLATE: Final = (Step.CLEAN_PROFILE, Step.OTHER_NODE)
_log = structlog.get_logger()


def advised(context: Context, account: Account, seen: Seen, look: Look) -> tuple[Seen, Step | None]:
    """Return what is seen with the budget that its status should keep, and the step to take."""
    healer, room = context.healer, context.admission
    if not may_be_replaced(seen, look):
        healer.forget(account.key)
        return seen, None
    now = seconds_text(context.world.now())
    short = seen.platform is not None and room.short(seen.platform, account.key.namespace)
    return healer.advise(account, seen, now=now, short=short)


def may_be_replaced(seen: Seen, look: Look) -> bool:
    """Tell whether the pod that is seen may be ended without losing track of who trades.

    Not amid a move, which has a deadline of its own; not where both slots have a pod; not where
    the trader's node may still run it; and whoever trades is written down first.
    """
    pod, trader = seen.pod, look.trader
    if look.move is not None or pod is None or look.slot(other(seen.slot)).pod is not None:
        return False
    if trader is not None and (trader.slot != seen.slot or trader.node in look.lost_nodes):
        return False
    if trader is not None and trader.pod == pod.uid:
        return True
    orders = seen.sidecar.orders if seen.sidecar else None
    return orders is None or not orders.active


async def take(
    context: Context, manifest: Manifest, account: Account, seen: Seen, step: Step | None
) -> None:
    """Take a step that is paid for, and tell of it and of a broker that is down."""
    server = account.spec.server
    if context.healer.began_outage(server):
        await _tell_outage(context, manifest, server)
    elif context.healer.ended_outage(server):
        _log.info("broker server is back", server=server)
        _review(context, server)
    if step is None:
        return
    reason = serving(seen).reason
    metrics.HEALING_STEPS.labels(step.value).inc()
    _log.warning("healing", account=str(account.key), step=step.value, reason=reason.value)
    note = f"{step}: the account is {reason} for long; step {seen.healing.taken} of the ladder"
    await _event(context, manifest, Reason.HEALING, note)
    if step is Step.NEW_POD:
        await _new_pod(context, account, seen, why=f"healing: {reason}")
    # The others change the pod's template, from the budget that the status holds by now.
    context.world.queue.add(account.key)


async def follow(context: Context, account: Account, seen: Seen, look: Look) -> None:
    """Replace the pod that a step left behind, once the StatefulSet makes another one.

    From what is there, not from what was done: an operator that died in between loses no step.
    """
    spent, pod = seen.healing, seen.pod
    if pod is None or pod.ending or spent.step not in _IN_TEMPLATE or pod.created > spent.at:
        return
    troubled = serving(seen).reason in LOCAL
    if troubled and may_be_replaced(seen, look) and _makes_another(context, account, seen, pod):
        await _new_pod(context, account, seen, why=f"healing: {spent.step}")


def _makes_another(context: Context, account: Account, seen: Seen, pod: PodSeen) -> bool:
    key = set_key(account.key, seen.slot)
    manifest = context.world.caches[STATEFUL_SET].get(key) or {"metadata": {}}
    status, wanted = manifest.get("status", {}), manifest["metadata"].get("generation")
    known = status.get("observedGeneration") == wanted and bool(pod.revision)
    return known and status.get("updateRevision", pod.revision) != pod.revision


async def _new_pod(context: Context, account: Account, seen: Seen, *, why: str) -> None:
    pod = context.world.caches[POD].get(pod_key(account.key, seen.slot))
    if pod is None or seen.pod is None or pod["metadata"]["uid"] != seen.pod.uid:
        return
    try:
        await replace_pod(context, pod, why=why)
    except (NotFound, Conflict):
        return  # another pod by now


async def _tell_outage(context: Context, manifest: Manifest, server: str) -> None:
    down, everyone = context.healer.outages().get(server, (0, 0))
    _review(context, server)
    _log.error("broker server is down", server=server, accounts=everyone, down=down)
    note = (
        f"{down} of {everyone} accounts of {server} lost their connection: the broker is down, or"
        " the way there. Their pods are left alone"
    )
    await _event(context, manifest, Reason.BROKER_OUTAGE, note)


def _review(context: Context, server: str) -> None:
    # For its condition Outage.
    if found := context.world.directory.match(server):
        context.world.queue.add(Key("", found.broker.name))


async def _event(context: Context, manifest: Manifest, reason: Reason, note: str) -> None:
    now = micro_text(context.world.now())
    await context.events.tell(manifest, reason.value, note, warning=True, now=now)
