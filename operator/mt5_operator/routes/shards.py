# SPDX-License-Identifier: Apache-2.0
"""The route table as ConfigMaps: the routers' cold start while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from mt5_operator import metrics, names
from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import CONFIG_MAP
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.routes.route import (
    ROUTES_FILE,
    Route,
    installation_of,
    routes_of,
    shard,
    shard_of,
    shards_of,
)
from mt5_operator.spec.parse import Manifest

# The settings allow no more.
MOST: Final = 64


async def installation(api: Api, namespace: str) -> str:
    """Return which installation's routes are in a namespace, its own; empty if none are.

    Raises:
        ApiError, ApiUnavailable: it could not be read.
    """
    try:
        return installation_of(await api.get(CONFIG_MAP, Key(namespace, names.route_shard(0))))
    except NotFound:
        return ""


class Shards:
    """The ConfigMaps of the table; one writer per shard at a time."""

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        shards: int,
        installation: str,
        shard: int = 0,
        of: int = 1,
    ) -> None:
        # Operators that share the work have ConfigMaps of their own.
        self._shard, self._of = shard, of
        self._api = api
        self._namespace = namespace
        self._count = shards
        self._installation = installation
        self._written: dict[int, str] = {}
        # What shards hold that belongs into another one.
        self._also: dict[int, frozenset[str]] = {}
        # What a larger number of shards has left behind: emptied once ours hold all of it.
        self._surplus: set[int] = set()
        self._locks = [asyncio.Lock() for _ in range(MOST)]

    async def load(self) -> dict[str, Route]:
        """Return the table as it is, and remember it as written.

        It may be of another number of shards, or half of each: what is ours counts more.
        """
        manifests = [await self._read(number) for number in range(self._count)]
        self._written = {number: _content(manifest) for number, manifest in enumerate(manifests)}
        held = {number: routes_of(manifest) for number, manifest in enumerate(manifests)}
        self._also = {n: also for n, routes in held.items() if (also := self._foreign(n, routes))}
        surplus = await self._read_surplus()
        whole = all(shards_of(manifest) == self._count * self._of for manifest in manifests)
        found: dict[str, Route] = {}
        for routes in [*([] if whole else surplus), *held.values()]:
            found |= routes
        for number, routes in held.items():
            found |= {
                n: route for n, route in routes.items() if n not in self._also.get(number, ())
            }
        return found

    def _place(self, number: int) -> int:
        # In turns with those of other operators: another number of ours never meets theirs.
        return number * self._of + self._shard

    def _foreign(self, number: int, routes: Mapping[str, Route]) -> frozenset[str]:
        return frozenset(name for name in routes if shard_of(name, self._count) != number)

    async def _read_surplus(self) -> list[dict[str, Route]]:
        found: list[dict[str, Route]] = []
        for number in range(self._count, MOST):
            manifest = await self._read(number)
            if not manifest:
                break
            found.append(routes_of(manifest))
            if found[-1] or shards_of(manifest) != self._count * self._of:
                self._surplus.add(number)
        return found

    async def look(self) -> bool:
        """Read all shards again; tell whether one is not as it was written."""
        differs = False
        for number in range(self._count):
            async with self._locks[number]:
                content = _content(await self._read(number))
                differs = differs or content != self._written.get(number)
                self._written[number] = content
        return differs

    async def write(self, routes: Mapping[str, Route]) -> None:
        """Bring all shards to hold `routes`; an unchanged shard costs nothing."""
        if self._also:
            # Another number of shards: nothing leaves its old one before it is in its new one.
            for number in range(self._count):
                await self._write(number, routes, also=self._also.get(number, frozenset()))
            self._also = {}
        for number in range(self._count):
            await self._write(number, routes)
        for number in tuple(self._surplus):
            await self._write(number, {})
            self._surplus.discard(number)

    async def write_one(self, account_id: str, routes: Mapping[str, Route]) -> None:
        """Bring the shard of one account to hold `routes`."""
        if self._surplus or self._also:
            await self.write(routes)
        await self._write(shard_of(account_id, self._count), routes)

    async def _write(
        self, number: int, routes: Mapping[str, Route], *, also: frozenset[str] = frozenset()
    ) -> None:
        async with self._locks[number]:
            # Read under the lock: those who waited find their change written already.
            manifest = self._manifest(number, routes, also)
            if self._written.get(number) == _content(manifest):
                return
            await self._api.apply(CONFIG_MAP, manifest, manager=names.ROUTES_MANAGER)
            self._written[number] = _content(manifest)
            metrics.ROUTE_WRITES.labels("configmap", "written").inc()

    def _manifest(self, number: int, routes: Mapping[str, Route], also: frozenset[str]) -> Manifest:
        return shard(
            number,
            routes,
            also=also,
            shards=self._count,
            installation=self._installation,
            namespace=self._namespace,
            place=self._place(number),
            of=self._of,
        )

    async def _read(self, number: int) -> Manifest:
        key = Key(self._namespace, names.route_shard(self._place(number)))
        try:
            return await self._api.get(CONFIG_MAP, key)
        except NotFound:
            return {}


def _content(manifest: Manifest) -> str:
    return str((manifest.get("data") or {}).get(ROUTES_FILE, ""))
