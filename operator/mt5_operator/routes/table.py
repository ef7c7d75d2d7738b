# SPDX-License-Identifier: Apache-2.0
"""The one route table of the installation, and its way into both stores.

Redis is written at once and repaired by a full comparison whenever it did not answer, lost its
marker, or is new to this process. So a deletion need not wait for Redis: its route is gone from
the table and the ConfigMap, and the next comparison removes it before the marker is trusted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import structlog

from mt5_operator import metrics
from mt5_operator.errors import ApiError, ApiUnavailable, RouteStoreUnavailable
from mt5_operator.routes.redis_store import RedisStore
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
    ) -> None:
        self._shards = shards
        self._redis = redis
        self._installation = installation
        self._account_ids = account_ids
        self._now = now
        self._routes: dict[str, Route] = {}
        self._stored: dict[str, Route | None] = {}
        self._known_before: dict[str, Route] = {}
        self._removed: set[str] = set()
        self._lock = asyncio.Lock()
        self._trusted = redis is None
        self._down: str = ""
        self.changed = asyncio.Event()

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

    def problem(self, account_id: str) -> str:
        """Return why routers may not know an account's route; empty if they do."""
        wanted = self._routes.get(account_id)
        if self._redis is None or wanted is None or self._stored.get(account_id) == wanted:
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
        if self._routes.get(account_id) != route:
            self._routes[account_id] = route
            self.changed.set()
        if self._redis and self._trusted and self._stored.get(account_id) != route:
            await self._guarded(self._put_one(self._redis, account_id, route))

    async def remove(self, account_id: str) -> None:
        """Remove a route: from the ConfigMap for certain, from Redis now or by the next repair.

        Raises:
            ApiError, ApiUnavailable: the ConfigMap still holds it; try again.
        """
        self._removed.add(account_id)
        self._routes.pop(account_id, None)
        self._known_before.pop(account_id, None)
        await self._shards.write_one(account_id, self._routes)
        if self._redis and self._trusted and account_id in self._stored:
            await self._guarded(self._remove_one(self._redis, account_id))

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

    async def check(self) -> None:
        """Look whether Redis holds our whole table, and repair it if not."""
        if self._redis is not None:
            await self._guarded(self._check(self._redis))

    async def _check(self, redis: RedisStore) -> None:
        async with self._lock:
            if self._trusted and await redis.installation() == self._installation:
                return
            self._trusted = False
            await self._repair(redis)
            self._trusted = True

    async def _repair(self, redis: RedisStore) -> None:
        self._stored = await redis.load()
        # An account that this process did not look at yet keeps what Redis has for it.
        self._removed &= set(self._account_ids())
        kept = (set(self._account_ids()) - self._removed) | set(self._routes)
        missing = {n: r for n, r in self._routes.items() if self._stored.get(n) != r}
        extra = [name for name in self._stored if name not in kept]
        await redis.put(missing)
        await redis.remove(extra)
        self._stored = {**{n: r for n, r in self._stored.items() if n not in extra}, **missing}
        if missing or extra or await redis.installation() != self._installation:
            count = len(self._stored)
            await redis.complete(installation=self._installation, count=count, now=self._now())
            _log.info("routes rewritten", written=len(missing), removed=len(extra))

    async def _put_one(self, redis: RedisStore, account_id: str, route: Route) -> None:
        async with self._lock:
            await redis.put({account_id: route})
            self._stored[account_id] = route

    async def _remove_one(self, redis: RedisStore, account_id: str) -> None:
        async with self._lock:
            await redis.remove([account_id])
            self._stored.pop(account_id, None)

    async def _guarded(self, call: Awaitable[None]) -> None:
        try:
            await call
        except RouteStoreUnavailable as error:
            if not self._down:
                _log.warning("Redis does not answer", error=str(error))
            self._trusted, self._down = False, str(error)
        else:
            if self._down:
                _log.info("Redis answers again")
            self._down = ""
        metrics.ROUTE_STORE_UP.set(not self._down)
