# SPDX-License-Identifier: Apache-2.0
"""Keep places warm, and tell how full the nodes are."""

from __future__ import annotations

from collections import Counter

import structlog

from mt5_operator import metrics, names
from mt5_operator.capacity import warm
from mt5_operator.cluster.kinds import DEPLOYMENT, POD
from mt5_operator.desired.difference import differs
from mt5_operator.desired.placeholders import name as placeholder_name
from mt5_operator.desired.placeholders import placeholders
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context import Context
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Manifest

_log = structlog.get_logger()


async def keep_warm(context: Context) -> None:
    """Bring the placeholders of every platform to what they should be.

    Raises:
        ApiError, ApiUnavailable: they are not; try again.
    """
    settings = context.world.settings
    if not settings.priority_class_placeholder or not everyone_was_seen(context):
        return
    crowd = _accounts_by_node(context)
    for platform in Platform:
        most = _cap(platform, settings)
        full = [
            labels.get(names.HOSTNAME_LABEL, name)
            for name, labels in _nodes(context, platform).items()
            if most and crowd[name] >= most
        ]
        over = [name for name in _nodes(context, platform) if most and crowd[name] > most]
        metrics.NODES_OVER_CAP.labels(platform.value).set(len(over))
        await _keep(context, platform, full)


async def _keep(context: Context, platform: Platform, full: list[str]) -> None:
    world, room = context.world, context.admission
    settings = world.settings
    count = warm(
        platform,
        accounts=room.accounts(platform),
        held=room.held(platform),
        now=world.now(),
        settings=settings,
    )
    actual = await _found(context, placeholder_name(platform, settings))
    ready = (actual or {}).get("status", {}).get("readyReplicas", 0)
    metrics.PLACEHOLDERS.labels(platform.value, "wanted").set(count)
    metrics.PLACEHOLDERS.labels(platform.value, "ready").set(ready)
    if actual is None and not count:
        return
    owner = await _found(context, settings.placeholder_owner)
    wanted = placeholders(platform, count, full=full, owner=owner, settings=settings)
    if actual is None or differs(wanted, actual):
        await world.api.apply(DEPLOYMENT, wanted)
        _log.info("warm places", platform=platform.value, count=count, full_nodes=len(full))


async def _found(context: Context, name: str) -> Manifest | None:
    if not name:
        return None
    try:
        return await context.world.api.get(DEPLOYMENT, Key(context.world.settings.namespace, name))
    except NotFound:
        return None


def everyone_was_seen(context: Context) -> bool:
    """Tell whether this leader has looked at nearly all accounts."""
    # A new leader that counted too early would take warm places away, and bring them back.
    return len(context.reasons) >= 0.9 * len(context.world.ours())


def _accounts_by_node(context: Context) -> Counter[str]:
    store, room = context.world.caches[POD], context.admission
    if room.crowd[0] != store.changes:
        found = Counter(str(pod["spec"].get("nodeName", "")) for pod in store.values())
        room.crowd = (store.changes, found)
    return room.crowd[1]


def _nodes(context: Context, platform: Platform) -> dict[str, dict[str, str]]:
    found = {}
    for node in context.world.caches.nodes():
        labels = node["metadata"].get("labels", {})
        if labels.get(names.OS_LABEL) == platform.value.lower():
            found[node["metadata"]["name"]] = labels
    return found


def _cap(platform: Platform, settings: Settings) -> int:
    windows = platform is Platform.WINDOWS
    return settings.windows_accounts_per_node if windows else settings.linux_accounts_per_node
