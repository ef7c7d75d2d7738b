# SPDX-License-Identifier: Apache-2.0
"""Ask the API server whether the trader's pod is gone, before another one may trade."""

from __future__ import annotations

import structlog

from mt5_operator.cluster.kinds import NODE, POD, Kind
from mt5_operator.desired.stateful_set import grace_s
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, World, micro_text, vanished
from mt5_operator.reconcile.feed import feed
from mt5_operator.reconcile.owned import pod_key
from mt5_operator.spec.parse import Account, Manifest
from mt5_operator.spec.status import Trader

_log = structlog.get_logger()


async def look(
    context: Context, manifest: Manifest, account: Account, trader: Trader
) -> tuple[str, float]:
    """Return why the trader is not gone for certain, and when to ask again; empty if it is.

    Raises:
        ApiError, ApiUnavailable: nothing was learned; try again.
    """
    key, gone = pod_key(account.key, trader.slot), context.gone
    pod = await _live(context.world, POD, key)
    if pod is not None:
        feed(context.world, POD, "MODIFIED", pod)
        if pod["metadata"]["uid"] == trader.pod:
            gone.forget(account.key)
            _log.warning("the cache of pods was behind", pod=str(key))
            return "the pod is there: the operator's view of it was old", 0.1
    if not trader.node or context.world.ended.has(key, trader.pod):
        gone.prove(account.key, trader.pod)
        return "", 0
    return await _by_node(context, manifest, account, trader)


async def _by_node(
    context: Context, manifest: Manifest, account: Account, trader: Trader
) -> tuple[str, float]:
    settings = context.world.settings
    news = context.gone.misses(account.key, trader.pod)
    node = await _live(context.world, NODE, Key("", trader.node))
    if node is not None:
        feed(context.world, NODE, "MODIFIED", node)
    # A kubelet that is silent is not known to be for some time, and then has the pod to end.
    wait_s = settings.vanished_pod_wait_s + grace_s(account, settings)
    for_s = context.gone.answered_s(account.key, vanished.answers_since(node or {}))
    if vanished.is_off(node) or for_s >= wait_s:
        context.gone.prove(account.key, trader.pod)
        return "", 0
    told = (
        f"the pod that traded vanished, and node {trader.node} did not say that it ended: it may"
        f" still trade. Another one does once the node is off, or has answered for {wait_s:g} s"
    )
    if news:
        _log.warning("trader vanished", account=str(account.key), node=trader.node)
        now = micro_text(context.world.now())
        what = Reason.TRADER_VANISHED.value
        await context.events.tell(manifest, what, told, warning=True, now=now)
    # A node's heartbeats are no events for us.
    return told, max(wait_s - for_s, settings.vanished_pod_wait_s / 6) + 0.05


async def _live(world: World, kind: Kind, key: Key) -> Manifest | None:
    try:
        return await world.api.get(kind, key)
    except NotFound:
        return None
