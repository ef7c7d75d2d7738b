# SPDX-License-Identifier: Apache-2.0
"""A suspect's pod is replaced once, however often its broker is reviewed meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from mt5_operator.brokers.evidence import Evidence
from mt5_operator.brokers.tally import Sample, Tally
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, POD, Kind
from mt5_operator.errors import Conflict
from mt5_operator.names import Key
from mt5_operator.reconcile.pods import fresh_starts
from mt5_operator.settings import Settings

KEY = Key("ns", "demo")
BORN = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def seen(name: str, uid: str, **more: Any) -> dict[str, Any]:
    """Return an object as the watch told of it last."""
    meta = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": "1"}
    return {"metadata": meta | {"creationTimestamp": BORN.isoformat()}, **more}


ACCOUNT_SEEN = seen(
    "demo",
    "account-1",
    spec={
        "login": 10001,
        "server": "Broker-Live",
        "credentialsSecretRef": {"name": "demo"},
    },
)


class Server:
    """Marks a pod as being deleted, as the API server does, and changes its version by it."""

    def __init__(self) -> None:
        self.version = "1"
        self.told: list[str] = []

    async def delete(self, kind: Kind, key: Key, *, uid: str, version: str = "") -> None:
        if version not in ("", self.version):
            raise Conflict(409, "Conflict", key.name)
        self.version = "2"

    async def tell(self, about: Any, reason: str, note: str, *, warning: bool, now: str) -> None:
        self.told.append(reason)


async def test_a_pod_that_is_being_deleted_already_is_no_second_start() -> None:
    caches, server = Caches(), Server()
    caches[ACCOUNT].feed(ACCOUNT_SEEN)
    caches[POD].feed(seen("demo-a-0", "pod-1"))
    world = SimpleNamespace(caches=caches, api=server, settings=Settings())
    context: Any = SimpleNamespace(world=world, events=server)
    suspects = (Tally(Sample(KEY, "pod-1", NOW, Evidence(platform="Linux"))),)

    # The watch has not told of the first one when the next review comes.
    for _ in range(2):
        await fresh_starts.try_again(context, suspects, NOW)

    assert server.told == ["FreshStart"]
