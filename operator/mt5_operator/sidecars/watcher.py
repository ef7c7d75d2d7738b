# SPDX-License-Identifier: Apache-2.0
"""Look at sidecars again and again: soon while something is wrong, seldom while all is well."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from mt5_operator import metrics
from mt5_operator.errors import SidecarUnreachable
from mt5_operator.names import Key
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from mt5_operator.sidecars.client import Sidecars, Target
from mt5_operator.status.seen import OrdersSeen, SidecarSeen


@dataclass
class _Watched:
    target: Target
    ready: bool
    seen: SidecarSeen | None = None
    looks: int = 0
    misses: int = 0


class Watcher:
    """The last word of every pod's sidecar.

    `changed` is told, by pod, when it means more; `heard` is told of every look. A look without an
    answer is no word: on a crowded machine one in some hundreds is late. Only several in a row say
    that a sidecar is silent, and whoever asks meanwhile is told what it said last.
    """

    def __init__(
        self,
        sidecars: Sidecars,
        settings: Settings,
        *,
        changed: Callable[[Key], None],
        heard: Callable[[Key, Target, SidecarSeen], None] = lambda *_: None,
        shared: Callable[[], bool] = lambda: True,
    ) -> None:
        self._sidecars = sidecars
        self._settings = settings
        self._changed = changed
        self._heard = heard
        self._watched: dict[Key, _Watched] = {}
        self._schedule = Schedule(limit=settings.sidecar_pollers, shared=shared)

    def watch(self, key: Key, target: Target, *, ready: bool) -> SidecarSeen | None:
        """Return the sidecar's last word, and keep looking; None before the first look.

        Another pod, or a change of its readiness, is a reason to look at once.
        """
        there = self._watched.get(key)
        if there is None or there.target != target:
            self._watched[key] = there = _Watched(target, ready)
            self._schedule.add(key)
        elif there.ready != ready:
            there.ready, there.looks = ready, 0
            self._schedule.add(key)
        return there.seen

    def hear(self, key: Key, target: Target, orders: OrdersSeen | None) -> None:
        """Take in what a sidecar answered to us about trading; None: ask it soon."""
        there = self._watched.get(key)
        if there is None or there.target != target:
            return
        if orders is not None and there.seen is not None:
            there.seen = replace(there.seen, error="", orders=orders)
            return
        there.looks = 0
        self._schedule.add(key)

    def forget(self, key: Key) -> None:
        """Stop looking at a pod's sidecar."""
        if self._watched.pop(key, None):
            self._schedule.drop(key)

    async def run(self) -> None:
        """Look for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.sidecar_pollers):
                group.create_task(self._run())

    async def _run(self) -> None:
        while True:
            key = await self._schedule.get()
            try:
                await self._look(key)
            finally:
                self._schedule.done(key)

    async def _look(self, key: Key) -> None:
        there = self._watched.get(key)
        if there is None:
            return
        seen = await self._asked(there.target)
        if self._watched.get(key) is not there:
            return  # another pod by now
        self._heard(key, there.target, seen)
        there.misses = there.misses + 1 if seen.error else 0
        if 0 < there.misses < self._settings.sidecar_misses:
            self._schedule.add(key, after_s=self._settings.sidecar_poll_s)
            return
        news = seen != there.seen
        there.looks = 0 if news else there.looks + 1
        there.seen = seen
        self._schedule.add(key, after_s=self._pause_s(there))
        if news:
            self._changed(key)

    async def _asked(self, target: Target) -> SidecarSeen:
        try:
            seen = await self._sidecars.state(target)
        except SidecarUnreachable as error:
            metrics.SIDECAR_LOOKS.labels("failed").inc()
            return SidecarSeen(error=str(error))
        metrics.SIDECAR_LOOKS.labels("answered").inc()
        return seen

    def _pause_s(self, there: _Watched) -> float:
        settings = self._settings
        if there.ready and there.seen and there.seen.connected:
            jitter = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, hides nothing
            return settings.sidecar_poll_connected_s * jitter
        return min(settings.sidecar_poll_max_s, settings.sidecar_poll_s * (1 + there.looks * 0.25))
