# SPDX-License-Identifier: Apache-2.0
"""Accounts for tests that need no cluster."""

from __future__ import annotations

from typing import Any

from mt5_operator.cluster.kinds import Kind
from mt5_operator.errors import ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.routes.redis_store import RedisStore
from mt5_operator.routes.route import Route, routes_of
from mt5_operator.routes.shards import Shards
from mt5_operator.routes.table import Table
from mt5_operator.spec.parse import Account, account


def manifest(name: str = "demo", **spec: Any) -> dict[str, Any]:
    """Return an account as the API server returns it."""
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "generation": 3,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-21T10:00:00Z",
        },
        "spec": {
            "login": 10001,
            "server": "Simulator-Demo",
            "credentialsSecretRef": {"name": "password"},
            **spec,
        },
    }


def parsed(name: str = "demo", **spec: Any) -> Account:
    """Return the same, read."""
    return account(manifest(name, **spec))


HERE = Route("10.0.0.1:8080", uid="u")
ELSEWHERE = Route("10.0.0.2:8080", uid="v")


class ConfigMaps:
    """The part of the API that shards use, counting writes."""

    def __init__(self) -> None:
        self.maps: dict[str, Any] = {}
        self.writes = 0
        # From this write on nothing is taken any more, as if the operator had died.
        self.dies_after: int | None = None

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        if key.name not in self.maps:
            raise NotFound(404, "NotFound", key.name)
        return dict(self.maps[key.name])

    async def apply(self, kind: Kind, manifest: dict[str, Any], **_: str) -> dict[str, Any]:
        if self.writes == self.dies_after:
            raise ApiUnavailable("gone")
        self.writes += 1
        self.maps[manifest["metadata"]["name"]] = manifest
        return manifest

    def routes(self) -> dict[str, Route]:
        return {k: v for m in self.maps.values() for k, v in routes_of(m).items()}


def table(maps: ConfigMaps, redis: RedisStore | None, ids: set[str], *, shards: int = 4) -> Table:
    """Return the table of an operator that serves these account ids."""
    api: Any = maps
    stored = Shards(api, namespace="ns", shards=shards, installation="i")
    return Table(stored, redis, installation="i", account_ids=lambda: ids, now=lambda: "now")
