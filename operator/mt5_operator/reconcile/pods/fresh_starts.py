# SPDX-License-Identifier: Apache-2.0
"""Replace pods of suspects: only a fresh terminal tells chance from rule."""

from __future__ import annotations

from datetime import datetime

import structlog

from mt5_operator import metrics, names
from mt5_operator.brokers.tally import Tally
from mt5_operator.cluster.cache import key_of
from mt5_operator.cluster.kinds import ACCOUNT, POD
from mt5_operator.errors import Conflict, InvalidSpec, NotFound
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, World, micro_text
from mt5_operator.reconcile.owned import pod_key
from mt5_operator.reconcile.pods.refresh import replace_pod
from mt5_operator.spec.account import BrokerCompatibility, Disruption
from mt5_operator.spec.parse import Manifest, account

_log = structlog.get_logger()


async def try_again(context: Context, suspects: tuple[Tally, ...], now: datetime) -> None:
    """Replace the pod of one suspect that may be disturbed."""
    for tally in suspects:
        manifest = context.world.caches[ACCOUNT].get(tally.last.key)
        pod = pod_of(context.world, tally)
        if manifest and pod and may_be_disturbed(manifest, pod):
            await _start_afresh(context, tally, manifest, pod, now)
            return


async def _start_afresh(
    context: Context, tally: Tally, manifest: Manifest, pod: Manifest, at: datetime
) -> None:
    born = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    started = max(born, tally.started_at or born)
    if (at - started).total_seconds() < context.world.settings.broker_fresh_start_pause_s:
        return
    try:
        # As it is known here: one that is being deleted already, which the watch has yet to tell,
        # is no second start.
        version = pod["metadata"]["resourceVersion"]
        await replace_pod(context, pod, why="a fresh start", version=version)
    except (NotFound, Conflict):
        return  # another pod by now, or it has changed: the next review looks again
    metrics.FRESH_STARTS.inc()
    note = "thrown out again and again: does it happen to a fresh terminal too?"
    now = micro_text(at)
    await context.events.tell(manifest, Reason.FRESH_START.value, note, warning=False, now=now)
    _log.info("fresh start", account=str(tally.last.key), pod=str(key_of(pod)))


def may_be_disturbed(manifest: Manifest, pod: Manifest) -> bool:
    """Tell whether this pod of an account may be replaced to see what a fresh terminal does."""
    if "deletionTimestamp" in pod["metadata"] or _hands_over(manifest, pod):
        return False
    try:
        spec = account(manifest).spec
    except InvalidSpec:
        return False
    auto = spec.broker_compatibility is BrokerCompatibility.AUTO
    return auto and spec.disruption is Disruption.ALWAYS and not spec.suspend


def _hands_over(manifest: Manifest, pod: Manifest) -> bool:
    # Amid a move only the pod that comes up is free: no trade and no key is in it.
    status = manifest.get("status", {})
    move, trader = status.get("move"), status.get("trader", {})
    if not move:
        return False
    return bool(move["phase"] != "Starting" or trader.get("pod") == pod["metadata"]["uid"])


def pod_of(world: World, tally: Tally) -> Manifest | None:
    """Return the pod that a tally was last told of by, if it is still there."""
    key = tally.last.key
    for slot in names.SLOTS:
        pod = world.caches[POD].get(pod_key(key, slot))
        if pod and pod["metadata"]["uid"] == tally.last.uid:
            return pod
    return None
