# SPDX-License-Identifier: Apache-2.0
"""For which servers a broker is made, and that no namespace uses up those of the others."""

from __future__ import annotations

from typing import Any

import pytest

from mt5_operator import metrics, names
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, Kind
from mt5_operator.errors import Refused
from mt5_operator.reconcile.brokers.new import make_missing
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.feed import feed
from mt5_operator.reconcile.feed.broker_feed import UNKNOWN_SERVERS
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from operator_samples import manifest


class Cluster:
    """An API server that makes brokers."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        if "[" in body["spec"]["servers"][0]:  # as the CRD's rule does
            raise Refused(422, "Invalid", "servers are names")
        self.made += body["spec"]["servers"]
        moment = "2026-01-01T00:00:00Z"
        meta = {"uid": f"u{len(self.made)}", "creationTimestamp": moment, "resourceVersion": "1"}
        return {**body, "metadata": {**body["metadata"], **meta}}


class Bench:
    """A leader that makes brokers, and nothing else."""

    def __init__(self, **settings: Any) -> None:
        self.cluster, self.told = Cluster(), list[tuple[str, str]]()
        api: Any = self.cluster
        self.world = World(Settings(**settings), api, Caches(), Index(), Schedule())
        parts = {"world": self.world, "events": self}
        context: Any = type("Leading", (), parts)
        self.context: Context = context
        self._version, self._created = 0, dict[str, str]()

    def add(self, name: str, server: str, namespace: str = "ns", **spec: Any) -> None:
        """Let the watch tell of an account."""
        self._version += 1
        found = manifest(name, **{"server": server, "accountId": name, **spec})
        created = self._created.setdefault(name, f"2026-01-01T00:00:{self._version:02}Z")
        meta = {"namespace": namespace, "resourceVersion": str(self._version)}
        found["metadata"] |= meta | {"creationTimestamp": created}
        feed(self.world, ACCOUNT, "MODIFIED", found)

    async def tell(self, regarding: dict[str, Any], reason: str, note: str, **_: Any) -> None:
        self.told.append((regarding["metadata"]["name"], note))

    async def make(self) -> list[str]:
        """Make what is missing; return for which servers there are brokers now."""
        await make_missing(self.context)
        return self.cluster.made


async def test_servers_of_accounts_that_do_not_log_in_get_no_broker() -> None:
    bench = Bench(accounts_per_namespace=2)
    bench.add("one", "A")
    bench.add("suspended", "B", suspend=True)
    bench.add("over-quota", "C")
    bench.add("elsewhere", "D", "other")
    bench.add("twice", "E", "third", accountId="one")

    assert await bench.make() == ["A", "D"]

    while key := bench.world.queue.take():
        bench.world.queue.done(key)
    bench.add("suspended", "B")
    assert UNKNOWN_SERVERS in bench.world.queue._due
    assert await bench.make() == ["A", "D", "B"]


async def test_one_namespace_uses_up_no_others_brokers() -> None:
    bench = Bench(brokers_per_namespace_max=3)
    for number in range(5):
        bench.add(f"x{number}", f"Junk-{number}")
    bench.add("honest", "Zed-Broker", "other")

    assert await bench.make() == ["Junk-0", "Junk-1", "Junk-2", "Zed-Broker"]

    assert [name for name, _ in bench.told] == ["x3", "x4"]
    assert "this namespace has 3 (MT5_OPERATOR_BROKERS_PER_NAMESPACE_MAX)" in bench.told[0][1]
    assert metrics.SERVERS_WITHOUT_BROKER._value.get() == 2


async def test_a_server_of_which_no_broker_can_be_made_holds_up_no_other() -> None:
    bench = Bench()
    bench.add("odd", "A[b]")
    bench.add("honest", "Zed-Broker", "other")

    assert await bench.make() == ["Zed-Broker"]


async def test_accounts_that_come_and_go_make_no_more_brokers_than_may_be() -> None:
    bench = Bench(brokers_per_namespace_max=2)
    for number in range(4):
        bench.add("same", f"Junk-{number}")
        await bench.make()

    assert bench.cluster.made == ["Junk-0", "Junk-1"]


@pytest.mark.parametrize("namespace", ["ns", "other"])
async def test_a_server_that_two_namespaces_use_is_made_for_who_has_room(namespace: str) -> None:
    bench = Bench(brokers_per_namespace_max=1)
    bench.add("first", "A")
    await bench.make()
    bench.add("a", "Shared", namespace)
    bench.add("b", "Shared", "third")

    await bench.make()

    assert bench.cluster.made == ["A", "Shared"]
    made = {broker.patterns[0]: broker.made_for for broker in bench.world.directory.brokers()}
    who = "third" if namespace == "ns" else namespace
    assert made["Shared"] == names.made_for(who)


async def test_there_are_never_more_than_all_may_have() -> None:
    bench = Bench(brokers_max=2)
    for number in range(3):
        bench.add(f"x{number}", f"S-{number}", f"ns{number}")

    assert await bench.make() == ["S-0", "S-1"]
    assert "there are 2 (MT5_OPERATOR_BROKERS_MAX)" in bench.told[0][1]
