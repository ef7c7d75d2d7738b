# SPDX-License-Identifier: Apache-2.0
"""kopf's part: watch, and feed. No handler decides anything, and kopf writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import kopf

from mt5_operator.cluster.kinds import OURS, Kind
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.feed import feed
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest

Relisted = Callable[[], None]


def registry(world: World, relisted: Relisted) -> kopf.OperatorRegistry:
    """Return one event handler for each of our kinds."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(_login)
    for kind in OURS:
        handler = _handler(world, kind, relisted)
        group, _, version = kind.api.rpartition("/")
        kopf.on.event(group, version, kind.plural, id=kind.plural, registry=found)(handler)
    return found


def operator_settings(settings: Settings) -> kopf.OperatorSettings:
    """Return kopf's settings: only watches, of nothing that is not ours."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.peering.standalone = True
    found.watching.inactivity_timeout = settings.watch_inactivity_s
    found.watching.connect_timeout = settings.api_timeout_s
    found.networking.error_backoffs = _Forever(settings.watch_retry_s, settings.watch_retry_max_s)
    # A replica that starts beside thousands of accounts must not hold them all as kopf's objects:
    # lists come in pages, and a worker with nothing left to do lets go of its object at once.
    found.watching.chunk_size = settings.list_page
    found.queueing.idle_timeout = 0.05
    # After an error of our handlers, which only feed the caches: a mistake of ours, and no setting.
    found.queueing.error_delays = (1, 1, 2, 3, 5)
    found.persistence.diffbase_storage = _NoDiffBase()
    return found


async def watch(
    world: World, relisted: Relisted, *, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Watch until `stop` is set; `ready` is set once the watches are started."""
    settings = world.settings
    await kopf.operator(
        registry=registry(world, relisted),
        settings=operator_settings(settings),
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        standalone=True,
        stop_flag=stop,
        ready_flag=ready,
    )


class _Forever:
    """Pauses between tries, in seconds: each twice the last, and no end.

    kopf ends with a request that it gives up, and the operator with kopf: a namespace that one
    tenant took away (403 from then on) would end every replica, for everybody, again and again.
    """

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s, self._most_s = least_s, most_s

    def __iter__(self) -> Iterator[float]:
        pause_s = self._least_s
        while True:
            yield pause_s
            pause_s = min(self._most_s, 2 * pause_s)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Spare kopf the comparison that only change handlers need; we have none."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


def _handler(world: World, kind: Kind, relisted: Relisted) -> Callable[..., Any]:
    async def on_event(event: Any, **_: Any) -> None:
        if event["type"] is None:
            relisted()
        feed(world, kind, event["type"], cast("Manifest", event["object"]))

    return on_event


async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
