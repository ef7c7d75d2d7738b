# SPDX-License-Identifier: Apache-2.0
"""Have routers see new ConfigMaps now, where those are all that tells them of changes.

While Redis is away, a route's change comes to routers by the kubelet, which looks at mounted
ConfigMaps about once a minute, and at once when the pod's object changes (see `refresh`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from mt5_operator import metrics, names
from mt5_operator.cluster.kinds import POD
from mt5_operator.errors import ApiError, ApiUnavailable, Conflict, NotFound
from mt5_operator.reconcile.context import Context

_log = structlog.get_logger()


async def hurry(context: Context) -> None:
    """Hurry the routers whenever the table says so, and not too often, until cancelled."""
    settings, late = context.world.settings, context.table.late
    if not settings.router_selector:
        return
    while True:
        await late.wait()
        late.clear()
        try:
            await hurry_routers(context)
        except (ApiError, ApiUnavailable) as error:
            _log.warning("routers not hurried", error=str(error))
            late.set()
        await asyncio.sleep(settings.route_hurry_s)


async def hurry_routers(context: Context) -> None:
    """Change every router's pod, so that the kubelet writes its files anew.

    Raises:
        ApiError, ApiUnavailable: not all were changed.
    """
    world = context.world
    kind = replace(POD, selector=world.settings.router_selector)
    pods = await world.api.versions(kind, world.settings.namespace)
    patch = {"metadata": {"annotations": {names.FILES_VERSION: world.now().isoformat()}}}
    for pod in pods:
        try:
            await world.api.merge(POD, pod, patch, manager=names.FILES_MANAGER)
        except (NotFound, Conflict):
            continue  # on its way out
        metrics.ROUTERS_HURRIED.inc()
    _log.info("routers hurried", pods=len(pods), why="they learn of routes by ConfigMaps only")
