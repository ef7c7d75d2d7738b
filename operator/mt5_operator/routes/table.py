# SPDX-License-Identifier: Apache-2.0
"""The one route table of the installation, and its way into both stores.

Redis is written at once and repaired by a full comparison whenever it did not answer, lost its
marker, or is new to this process. So a deletion need not wait for Redis: its route is gone from
the table and the ConfigMap, and the next comparison removes it before the marker is trusted again.
What both stores hold is also compared now and then without a reason: a Redis that fails over to
an older copy has its marker, and a ConfigMap can be edited by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import structlog

from mt5_operator import metrics
from mt5_operator.errors import ApiError, ApiUnavailable, RouteStoreUnavailable
from mt5_operator.routes.redis_store import MARKER, RedisStore
from mt5_operator.routes.route import Route
from mt5_operator.routes.shards import Shards

_log = structlog.get_logger()


class Clock(Protocol):
    """Tell the time as text, RFC 3339 in UTC."""

    def __call__(self) -> str:
        """Return now."""


class Table:
    """What every router should know. Only the leader has one."""

    def __init__(
        self,
        shards: Shards,
        redis: RedisStore | None,
        *,
        installation: str,
        account_ids: Callable[[], Collection[str]],
        now: Clock,
        everyones: Callable[[], Collection[str]] | None = None,
    ) -> None:
        # Those of other shards included: what Redis holds of theirs is theirs.
        self._everyones = everyones or account_ids
        self._shards = shards
        self._redis = redis
        self._installation = installation
        self._account_ids = account_ids
        self._now = now
        self._routes: dict[str, Route] = {}
        self._stored: dict[str, Route | None] = {}
        self._known_before: dict[str, Route] = {}
        self._removed: set[str] = set()
        # What accounts' own reconciles said in this process; the rest is only remembered.
        self._confirmed: set[str] = set()
        # What changed while Redis was not trusted: a repair may have begun before.
        self._overtaken: set[str] = set()
        self._lock = asyncio.Lock()
        self._trusted = redis is None
        self._down: str = ""
        self._foreign: str = ""
        self.changed = asyncio.Event()
        # What changed is in the ConfigMaps, and nothing else will tell routers of it.
        self.late = asyncio.Event()

    async def load(self) -> None:
        """Begin with what the ConfigMaps hold, so that a new leader forgets no route."""
        there = set(self._account_ids())
        found = await self._shards.load()
        self._routes = {name: route for name, route in found.items() if name in there}
        self._known_before = dict(self._routes)
        self.changed.set()

    def get(self, account_id: str) -> Route | None:
        """Return the route that routers should have."""
        return self._routes.get(account_id)

    def nobodys(self) -> set[str]:
        """Return the account ids that have a route and that no account claims."""
        return set(self._routes) - set(self._account_ids())

    @property
    def foreign(self) -> str:
        """Why nothing is written to Redis at all, because others own it; empty if none do."""
        return self._foreign

    @property
    def down(self) -> str:
        """Why Redis does not answer; empty if it does, or there is none."""
        return self._down

    def problem(self, account_id: str) -> str:
        """Return why routers may not know an account's route; empty if they do."""
        wanted = self._routes.get(account_id)
        if self._redis is None or wanted is None:
            return ""
        if self._foreign:
            return self._foreign
        if self._stored.get(account_id) == wanted:
            return ""
        if not self._trusted and self._known_before.get(account_id) == wanted:
            return ""  # as it was before this process; nobody has a reason to doubt it
        return (
            "the route is in the ConfigMap, but Redis does not take it; it is tried again:"
            f" {self._down or 'not written yet'}"
        )

    async def put(self, account_id: str, route: Route) -> None:
        """Make `route` known; Redis at once if it answers, ConfigMaps with the next flush."""
        self._removed.discard(account_id)
        self._confirmed.add(account_id)
        if self._routes.get(account_id) != route:
            self._routes[account_id] = route
            self._overtaken.add(account_id)
            self.changed.set()
        if self._redis and self._trusted and self._stored.get(account_id) != route:
            await self._guarded(self._write(self._redis, {account_id}))

    async def remove(self, account_id: str) -> None:
        """Remove a route: from the ConfigMap for certain, from Redis now or by the next repair.

        Raises:
            ApiError, ApiUnavailable: the ConfigMap still holds it; try again.
        """
        self._removed.add(account_id)
        self._overtaken.add(account_id)
        self._confirmed.discard(account_id)
        self._routes.pop(account_id, None)
        self._known_before.pop(account_id, None)
        await self._shards.write_one(account_id, self._routes)
        self._tell_late()
        if self._redis and self._trusted and account_id in self._stored:
            await self._guarded(self._write(self._redis, {account_id}))

    async def flush(self) -> None:
        """Write the ConfigMaps whose routes changed.

        Raises:
            ApiError, ApiUnavailable: some are not written; try again.
        """
        self.changed.clear()
        try:
            await self._shards.write(self._routes)
        except (ApiError, ApiUnavailable):
            self.changed.set()
            raise
        self._tell_late()

    def _tell_late(self) -> None:
        if not self._trusted or self._redis is None:
            self.late.set()

    async def check(self) -> None:
        """Look whether Redis holds our whole table by its marker, and repair it if not."""
        if self._redis is not None:
            await self._guarded(self._check(self._redis, whole=False))

    async def compare(self) -> None:
        """Compare all that both stores hold with the table; costs no write where all is equal.

        Raises:
            ApiError, ApiUnavailable: the ConfigMaps could not be read; try again.
        """
        if self._redis is not None:
            await self._guarded(self._check(self._redis, whole=True))
        if await self._shards.look():
            self.changed.set()

    async def _check(self, redis: RedisStore, *, whole: bool) -> None:
        async with self._lock:
            marker = await redis.installation(self._installation)
            self._beware(marker)
            if self._foreign:
                return
            ours = marker == self._installation
            if self._trusted and ours and not whole:
                return
            self._trusted = self._trusted and ours
            await self._repair(redis, ours=ours)
            self._trusted = True
            await self._write_locked(redis, self._overtaken)

    def _beware(self, marker: str | None) -> None:
        foreign = marker not in (None, self._installation)
        if foreign and not self._foreign:
            _log.error("Redis belongs to another installation", theirs=marker)
        told = (
            f"Redis holds the routes of another installation ({marker}), and nothing is written"
            " there: give each installation a Redis or a database number of its own; if that one"
            f" is gone, delete the Redis key {MARKER}"
        )
        self._foreign = told if foreign else ""
        self._trusted = self._trusted and not foreign
        metrics.ROUTE_STORE_FOREIGN.set(foreign)

    async def _repair(self, redis: RedisStore, *, ours: bool) -> None:
        self._overtaken.clear()
        self._stored = await redis.load()
        if ours:
            self._adopt()
        # An account that this process did not look at yet keeps what Redis has for it.
        self._removed &= set(self._account_ids())
        kept = (set(self._everyones()) - self._removed) | set(self._routes)
        missing = {n: r for n, r in self._routes.items() if self._stored.get(n) != r}
        extra = [name for name in self._stored if name not in kept]
        await redis.put(missing)
        await redis.remove(extra)
        self._stored = {**{n: r for n, r in self._stored.items() if n not in extra}, **missing}
        if missing or extra or not ours:
            count = len(self._stored)
            await redis.complete(installation=self._installation, count=count, now=self._now())
            _log.info("routes rewritten", written=len(missing), removed=len(extra))

    def _adopt(self) -> None:
        # Redis is written before the ConfigMaps: what the leader before us wrote last is there.
        remembered = set(self._account_ids()) - self._removed - self._confirmed
        for name, route in self._stored.items():
            if route and name in remembered:
                if self._routes.get(name) != route:
                    self._routes[name] = route
                    self.changed.set()
                self._known_before[name] = route

    async def _write(self, redis: RedisStore, account_ids: set[str]) -> None:
        async with self._lock:
            await self._write_locked(redis, account_ids)

    async def _write_locked(self, redis: RedisStore, account_ids: set[str]) -> None:
        # What the table says by now, which may be newer than what this was called for.
        wanted = {name: self._routes.get(name) for name in account_ids}
        put = {n: r for n, r in wanted.items() if r and self._stored.get(n) != r}
        gone = [n for n, r in wanted.items() if r is None and n in self._stored]
        if put:
            await redis.put(put)
            self._stored |= put
        if gone:
            await redis.remove(gone)
            for name in gone:
                self._stored.pop(name, None)

    async def _guarded(self, call: Awaitable[None]) -> None:
        try:
            await call
        except RouteStoreUnavailable as error:
            if not self._down:
                _log.warning("Redis does not answer", error=str(error))
                self.late.set()  # what was written just now, Redis may not have told
            self._trusted, self._down = False, str(error)
        else:
            if self._down:
                _log.info("Redis answers again")
            self._down = ""
        metrics.ROUTE_STORE_UP.set(not self._down)
