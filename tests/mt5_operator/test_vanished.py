# SPDX-License-Identifier: Apache-2.0
"""No pod trades in the place of one that is not gone for certain: what counts as certain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mt5_operator.cluster.kinds import NODE, POD, Kind
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context.vanished import has_ended
from mt5_operator.reconcile.feed import feed
from mt5_operator.status.seen import OrdersSeen

from .test_reconcile import KEY, UP, Bench

# Until a silent node is known to be, and the simulator's grace period on top.
WAIT_S = 60 + 30
ENDED = {"terminated": {"exitCode": 0}}
RUNNING = {"running": {}}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}


class Server(Bench):
    """A bench whose API server is asked for pods and nodes; its cache of pods may be behind."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Kind] = []
        self.live: dict[Kind, dict[str, Any] | None] = {POD: None, NODE: None}
        self.told: list[str] = []
        self.get = self.cluster.get
        cluster: Any = self.cluster
        cluster.get = self._get
        events: Any = self.context.events
        events.tell = self._tell
        self.context.gone.clock = lambda: self.seconds

    async def trades(self) -> None:
        """Lead the account until its pod trades."""
        self.sidecars.seen = replace(UP, orders=OrdersSeen(1, active=True))
        self.feed()
        self.pod()
        await self.reconcile()
        assert self.trader() == "p"
        assert self.asked == []

    async def vanishes(self) -> None:
        """Let the cache show another pod in the place of the trader's."""
        found = self.world.caches[POD].get(Key("ns", "demo-a-0"))
        assert found is not None
        feed(self.world, POD, "DELETED", found)
        self.sidecars.seen = replace(UP, orders=OrdersSeen(0, active=False))
        self.pod(uid="p2")
        self.live[POD] = self.world.caches[POD].get(Key("ns", "demo-a-0"))

    def node(self, *taints: dict[str, str], ready: str = "True", since: str = "10:00") -> None:
        """Let there be the trader's node, which has been so since a time of day."""
        meta = {"name": "n", "uid": "n", "resourceVersion": "1"}
        told = {"type": "Ready", "status": ready, "lastTransitionTime": since}
        status = {"conditions": [told]}
        self.live[NODE] = {"metadata": meta, "spec": {"taints": [*taints]}, "status": status}

    def trader(self) -> str:
        """Return the uid of the pod that the status names as trader."""
        return str(self.cluster.account["status"]["trader"]["pod"])

    async def _get(self, kind: Kind, key: Key) -> dict[str, Any]:
        if kind not in self.live:
            return await self.get(kind, key)
        self.asked.append(kind)
        found = self.live[kind]
        if found is None:
            raise NotFound(404, "NotFound", key.name)
        return found

    async def _tell(self, _: Any, reason: str, *__: Any, **___: Any) -> None:
        self.told.append(reason)


@pytest.fixture
async def server() -> Server:
    found = Server()
    await found.trades()
    return found


async def test_an_account_at_rest_asks_for_nothing(server: Server) -> None:
    for _ in range(5):
        await server.reconcile()

    assert server.asked == []


async def test_a_pod_whose_kubelet_said_that_it_ended_has_a_successor_at_once(
    server: Server,
) -> None:
    pod = server.world.caches[POD].get(Key("ns", "demo-a-0"))
    assert pod is not None
    pod["metadata"] |= {"deletionTimestamp": "now", "resourceVersion": "999"}
    pod["status"]["initContainerStatuses"] = [{"name": "sidecar", "state": ENDED}]
    pod["status"]["containerStatuses"] = [{"name": "terminal", "state": ENDED}]
    pod["spec"] |= {"initContainers": [{"name": "sidecar"}], "containers": [{"name": "terminal"}]}
    feed(server.world, POD, "MODIFIED", pod)
    await server.vanishes()

    await server.reconcile()

    assert server.trader() == "p2"
    assert server.asked == [POD]
    assert "TraderVanished" not in server.told


async def test_a_pod_that_vanished_without_a_word_has_one_once_its_node_has_answered_for_long(
    server: Server,
) -> None:
    server.node()
    await server.vanishes()

    for _ in range(9):
        again_s = await server.reconcile()
        assert again_s is not None
        assert 5 < again_s <= WAIT_S + 1
        assert server.trader() == "p"
        server.seconds += 9.9
    server.seconds += 1
    await server.reconcile()

    assert server.trader() == "p2"
    assert server.told.count("TraderVanished") == 1


@pytest.mark.parametrize(
    ("taints", "ready"),
    [([UNREACHABLE], "Unknown"), ([], "Unknown"), ([], "False")],
    ids=["tainted", "not yet tainted", "its runtime is down"],
)
async def test_a_pod_whose_node_does_not_answer_has_none(
    server: Server, taints: list[dict[str, str]], ready: str
) -> None:
    server.node(*taints, ready=ready)
    await server.vanishes()

    for _ in range(30):
        await server.reconcile()
        server.seconds += 100

    assert server.trader() == "p"
    server.node(since="11:00")  # it is back, and has only just heard what it should end
    server.live[NODE]["metadata"]["resourceVersion"] = "2"  # type: ignore[index]
    feed(server.world, NODE, "MODIFIED", server.live[NODE] or {})
    await server.reconcile()
    assert server.trader() == "p"
    server.seconds += WAIT_S
    await server.reconcile()
    assert server.trader() == "p2"


async def test_a_node_that_was_silent_between_two_looks_has_not_answered_since_the_first(
    server: Server,
) -> None:
    server.node()
    await server.vanishes()
    await server.reconcile()
    server.seconds += WAIT_S - 1
    server.node(since="10:01")

    server.seconds += 1
    await server.reconcile()
    assert server.trader() == "p"
    server.seconds += WAIT_S
    await server.reconcile()
    assert server.trader() == "p2"
    assert server.told.count("TraderVanished") == 1


@pytest.mark.parametrize("node", ["deleted", "out of service"])
async def test_a_pod_whose_node_is_off_has_one_at_once(server: Server, node: str) -> None:
    if node != "deleted":
        server.node(UNREACHABLE, OUT_OF_SERVICE, ready="Unknown")
    await server.vanishes()

    await server.reconcile()

    assert server.trader() == "p2"


async def test_a_trader_that_only_the_cache_misses_stays_the_trader(server: Server) -> None:
    there = server.world.caches[POD].get(Key("ns", "demo-a-0"))
    await server.vanishes()
    server.live[POD] = there

    await server.reconcile()

    assert server.trader() == "p"
    entry = server.world.caches[POD].entry(Key("ns", "demo-a-0"))
    assert entry is not None
    assert entry.uid == "p"
    assert KEY in server.due()


def pod(*states: dict[str, Any], deleted: bool = True, phase: str = "Running") -> dict[str, Any]:
    """Return a pod of a sidecar and a terminal with these states."""
    told = [{"name": "x", "state": state} for state in states]
    meta = {"uid": "u"} | ({"deletionTimestamp": "now"} if deleted else {})
    spec = {"initContainers": [{"name": "sidecar"}], "containers": [{"name": "terminal"}]}
    status = {"phase": phase, "initContainerStatuses": told[:1], "containerStatuses": told[1:]}
    return {"metadata": meta, "spec": spec, "status": status}


def test_only_the_kubelets_word_for_every_container_is_an_end() -> None:
    assert has_ended(pod(ENDED, ENDED))
    assert has_ended(pod(ENDED, ENDED, deleted=False, phase="Failed"))
    assert not has_ended(pod(ENDED, ENDED, deleted=False))  # they are started again
    assert not has_ended(pod(RUNNING, ENDED))
    assert not has_ended(pod(ENDED))
    assert not has_ended(pod())
    # What the controller of lost nodes says of a pod is no word of its kubelet.
    assert not has_ended(pod(RUNNING, RUNNING, phase="Failed"))
