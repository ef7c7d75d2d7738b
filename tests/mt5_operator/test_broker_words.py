# SPDX-License-Identifier: Apache-2.0
"""What is told of a broker besides its verdict, in Events, when it comes and not again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mt5_operator.brokers.review import Reviewed
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, Kind
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.brokers import status as broker_status
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.feed import feed
from mt5_operator.reconcile.feed.broker_feed import fed
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from mt5_operator.sharding import shard_of
from mt5_operator.spec.broker import BrokerSpec, BrokerStatus
from operator_samples import manifest


class Bench:
    """A broker, and an API server that takes what is written of it."""

    def __init__(self, **settings: Any) -> None:
        api: Any = self
        self.world = World(Settings(**settings), api, Caches(), Index(), Schedule())
        healer = SimpleNamespace(outages=dict)
        identity = SimpleNamespace(installation="i")
        self.context: Any = SimpleNamespace(
            world=self.world, healer=healer, identity=identity, events=self
        )
        self.broker = broker("one", "2026-01-01T00:00:00Z")
        self.told: list[tuple[str, str]] = []

    async def apply(self, kind: Kind, body: dict[str, Any], **_: str) -> dict[str, Any]:
        self.broker = {**self.broker, "status": body["status"]}
        return self.broker

    async def tell(self, _: Any, reason: str, note: str, **__: Any) -> None:
        self.told.append((reason, note))

    async def review(self, reason: Reason, message: str) -> None:
        """Let a review find something."""
        found = Reviewed(BrokerStatus(message=message), reason, ())
        spec = BrokerSpec(servers=["Demo"])
        await broker_status.tell(self.context, self.broker, spec, found)


def broker(name: str, created: str) -> dict[str, Any]:
    meta = {"name": name, "uid": name, "generation": 1, "resourceVersion": "1"}
    return {"metadata": meta | {"creationTimestamp": created}, "spec": {"servers": ["Demo"]}}


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_proven_refusal_without_a_windows_node_is_told_once(bench: Bench) -> None:
    await bench.review(Reason.LINUX_SUSPECTED, "suspected")
    assert bench.told == []

    await bench.review(Reason.NO_WINDOWS_NODE, "no node can run Windows pods: add one")
    await bench.review(Reason.NO_WINDOWS_NODE, "no node can run Windows pods: add one, please")

    assert bench.told == [("NoWindowsNode", "no node can run Windows pods: add one")]


async def test_two_brokers_that_fit_alike_are_told_of(bench: Bench) -> None:
    fed(bench.world, bench.broker)
    fed(bench.world, broker("two", "2026-01-02T00:00:00Z"))
    feed(bench.world, ACCOUNT, "ADDED", manifest(server="Demo"))

    await bench.review(Reason.NOT_TRIED_YET, "")

    assert [reason for reason, _ in bench.told] == ["SamePattern"]


async def test_a_broker_that_cannot_be_read_is_told_of(bench: Bench) -> None:
    for _ in range(2):
        await broker_status.refuse(bench.context, bench.broker, "spec.servers: too many")

    assert bench.told == [("InvalidSpec", "correct the spec: spec.servers: too many")]


async def test_a_broker_of_which_other_shards_have_accounts_says_what_is_not_heard() -> None:
    bench = Bench(shards=2, broker_dry_run=True)
    fed(bench.world, bench.broker)
    spaces = {shard_of(name, 2): name for name in ("a", "b", "c", "d")}
    for space in spaces.values():
        found = manifest(server="Demo")
        found["metadata"] |= {"namespace": space, "uid": space}
        feed(bench.world, ACCOUNT, "ADDED", found)

    await bench.review(Reason.NOT_TRIED_YET, "nobody logged in on Linux yet")

    status = bench.broker["status"]
    told = "nobody logged in on Linux yet; 1 of its 2 accounts are other shards' and not heard here"
    assert status["message"].startswith(told)
    assert status["conditions"][0]["message"] == status["message"]
    assert "spec.platform" in status["message"]
