# SPDX-License-Identifier: Apache-2.0
"""Compare the caches with the server's own lists, now and then.

A watch can miss what vanished while it was away, and it can fall silent without an error. Both
are seen only from outside: by a list of names and versions. An object that is newer on the
server, in two audits in a row, than in the cache proves that its watch is silent; a quiet
cluster proves nothing and raises no alarm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import structlog

from mt5_operator import metrics
from mt5_operator.cluster.api import Api
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, BROKER, NODE, WATCHED, Kind
from mt5_operator.cluster.served import Listed, Served, Versions
from mt5_operator.errors import ApiError, ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.settings import Settings

Vanished = Callable[[Kind, Key], None]
_log = structlog.get_logger()


class Audit:
    """Whether the caches hold what the server holds."""

    def __init__(
        self,
        api: Api,
        caches: Caches,
        settings: Settings,
        *,
        vanished: Vanished,
        owns: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._owns = owns
        self._settings = settings
        self._served = Served(api, settings.namespaces)
        self._caches = caches
        self._vanished = vanished
        self._behind: dict[Kind, Versions] = {}
        self.stale: frozenset[Kind] = frozenset()
        # Namespaces that are there and did not let us list their things at the last audit.
        self.refusing: dict[str, ApiError] = {}
        # Set once every cache held, at some audit, all that the server held.
        self.synced = asyncio.Event()

    async def repeat(self, relisted: asyncio.Event, unanswered: Callable[[], None]) -> None:
        """Compare every kind for ever: now and then, and after each list that `relisted` tells of.

        `unanswered` is called when the server did not answer.
        """
        while True:
            # What is listed anew while we compare is compared once more.
            relisted.clear()
            try:
                await self.run()
            except (ApiError, ApiUnavailable) as error:
                _log.warning("watches not audited", error=str(error))
                unanswered()
                await asyncio.sleep(self._settings.watch_audit_pause_s)
            for namespace, refusal in self.refusing.items():
                _log.warning("a namespace refuses us", namespace=namespace, error=str(refusal))
            if self.refusing:
                await asyncio.sleep(self._settings.watch_audit_pause_s)
            await self._due(relisted)

    async def _due(self, relisted: asyncio.Event) -> None:
        if not self.synced.is_set():
            await asyncio.sleep(self._settings.watch_catch_up_s)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(relisted.wait(), self._settings.watch_audit_s)
            # A new list comes object by object.
            await asyncio.sleep(self._settings.watch_audit_pause_s)

    async def run(self) -> None:
        """Compare every kind once.

        Raises:
            ApiError: a kind could not be listed (its CRD is gone, say); the others were compared.
            ApiUnavailable: the server could not be asked; nothing more was concluded.
        """
        refused: list[ApiError] = []
        refusing: dict[str, ApiError] = {}
        for kind in WATCHED:
            started = self._caches.clock()
            try:
                listed = await self._listed(kind)
            except ApiError as error:
                refused.append(error)
                continue
            self._compare(kind, listed, started)
            refusing |= listed.refused
        self.refusing = refusing
        if refused:
            raise refused[0]
        if not refusing and not any(self._behind.values()):
            self.synced.set()

    async def caught_up(self) -> None:
        """Wait until every cache has held all that the server lists from now on.

        Raises:
            ApiError, ApiUnavailable: the server could not be asked.
        """
        left = list(WATCHED)
        while left:
            left = [kind for kind in left if await self._is_behind(kind)]
            if left:
                # Watches that are a moment behind are in nearly always.
                await asyncio.sleep(self._settings.watch_catch_up_s)

    async def _is_behind(self, kind: Kind) -> bool:
        started = self._caches.clock()
        try:
            listed = await self._listed(kind)
        except NotFound:
            return False  # its CRD is gone, and all that was of it
        for error in listed.refused.values():
            raise error
        self._drop_gone(kind, listed, started)
        return bool(behind(self._caches, kind, listed.versions))

    async def _listed(self, kind: Kind) -> Listed:
        found = await self._served.listed(kind)
        if kind in (ACCOUNT, NODE, BROKER):  # known to every shard
            return found
        ours = {key: seen for key, seen in found.versions.items() if self._owns(key.namespace)}
        return replace(found, versions=ours)

    def _compare(self, kind: Kind, listed: Listed, started: float) -> None:
        self._drop_gone(kind, listed, started)
        before = self._behind.get(kind, {})
        now = behind(self._caches, kind, listed.versions)
        self._behind[kind] = now
        stuck = [key for key, seen in now.items() if before.get(key) == seen]
        self.stale = self.stale | {kind} if stuck else self.stale - {kind}
        metrics.WATCH_STALE.labels(kind.name).set(bool(stuck))

    def _drop_gone(self, kind: Kind, listed: Listed, started: float) -> None:
        for key, uid in gone(self._caches, kind, listed, started):
            self._caches[kind].drop(key, uid)
            self._vanished(kind, key)


def gone(caches: Caches, kind: Kind, listed: Listed, started: float) -> list[tuple[Key, str]]:
    """Return what the cache held before the list was asked for, and the list does not."""
    found = []
    for key in caches[kind].keys():  # noqa: SIM118 - not a dict
        if listed.keeps_silent_of(key):
            continue
        entry = caches[kind].entry(key)
        if entry and entry.fed_at < started and listed.versions.get(key, ("", 0))[0] != entry.uid:
            found.append((key, entry.uid))
    return found


def behind(caches: Caches, kind: Kind, listed: Versions) -> Versions:
    """Return what the server holds newer than the cache."""
    found: Versions = {}
    for key, (uid, version) in listed.items():
        entry = caches[kind].entry(key)
        if entry is None or (entry.uid == uid and entry.version < version):
            found[key] = (uid, version)
    return found
