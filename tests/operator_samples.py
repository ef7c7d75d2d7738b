# SPDX-License-Identifier: Apache-2.0
"""Accounts for tests that need no cluster."""

from __future__ import annotations

from typing import Any

from mt5_operator.cluster.kinds import Kind
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.routes.route import Route, routes_of
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


class ConfigMaps:
    """The part of the API that shards use, counting writes."""

    def __init__(self) -> None:
        self.maps: dict[str, Any] = {}
        self.writes = 0

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        if key.name not in self.maps:
            raise NotFound(404, "NotFound", key.name)
        return dict(self.maps[key.name])

    async def apply(self, kind: Kind, manifest: dict[str, Any], **_: str) -> dict[str, Any]:
        self.writes += 1
        self.maps[manifest["metadata"]["name"]] = manifest
        return manifest

    def routes(self) -> dict[str, Route]:
        return {k: v for m in self.maps.values() for k, v in routes_of(m).items()}
