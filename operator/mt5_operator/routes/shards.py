# SPDX-License-Identifier: Apache-2.0
"""The route table as ConfigMaps: the routers' cold start while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mt5_operator import metrics, names
from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import CONFIG_MAP
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.routes.route import ROUTES_FILE, Route, routes_of, shard, shard_of
from mt5_operator.spec.parse import Manifest


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
        self._first = shard * shards
        self._of = of
        self._api = api
        self._namespace = namespace
        self._count = shards
        self._installation = installation
        self._written: dict[int, str] = {}
        self._locks = [asyncio.Lock() for _ in range(shards)]

    async def load(self) -> dict[str, Route]:
        """Return the table as it is, and remember it as written."""
        found: dict[str, Route] = {}
        for number in range(self._count):
            manifest = await self._read(number)
            self._written[number] = _content(manifest)
            found |= routes_of(manifest)
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
        for number in range(self._count):
            await self._write(number, routes)

    async def write_one(self, account_id: str, routes: Mapping[str, Route]) -> None:
        """Bring the shard of one account to hold `routes`."""
        await self._write(shard_of(account_id, self._count), routes)

    async def _write(self, number: int, routes: Mapping[str, Route]) -> None:
        async with self._locks[number]:
            # Read under the lock: those who waited find their change written already.
            manifest = self._manifest(number, routes)
            if self._written.get(number) == _content(manifest):
                return
            await self._api.apply(CONFIG_MAP, manifest, manager=names.ROUTES_MANAGER)
            self._written[number] = _content(manifest)
            metrics.ROUTE_WRITES.labels("configmap", "written").inc()

    def _manifest(self, number: int, routes: Mapping[str, Route]) -> Manifest:
        return shard(
            number,
            routes,
            shards=self._count,
            installation=self._installation,
            namespace=self._namespace,
            first=self._first,
            of=self._of,
        )

    async def _read(self, number: int) -> Manifest:
        key = Key(self._namespace, names.route_shard(self._first + number))
        try:
            return await self._api.get(CONFIG_MAP, key)
        except NotFound:
            return {}


def _content(manifest: Manifest) -> str:
    return str((manifest.get("data") or {}).get(ROUTES_FILE, ""))
