# SPDX-License-Identifier: Apache-2.0
"""Places on nodes, as the real scheduler gives them: caps, warm places, and who is first."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import yaml

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, condition, reason, secret
from operator_cluster.operator_process import MakeOperator, Operator, eventually, steady
from operator_cluster.redis_process import RedisServer

pytestmark = pytest.mark.cluster

Manifest = dict[str, Any]

# As the chart makes them. One value for both kinds of accounts: who runs is never ended.
CLASSES = {"mt5-standard": 0, "mt5-vip": 0, "mt5-placeholder": -10}
# Of 400Mi three simulated accounts fit on a node (64Mi + 64Mi each), or two and a placeholder.
SMALL = {"cpu": "4", "memory": "400Mi", "pods": "110"}
BIG = {"cpu": "64", "memory": "64Gi", "pods": "250"}


class Pool:
    """Nodes that only this test's pods go to, and the settings for its operator."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        self.plane, self.name = plane, name
        self.nodes: list[str] = []

    def settings(self, **more: object) -> dict[str, object]:
        selector = f'{{"pool": "{self.name}"}}'
        return {
            "linux_node_selector": selector,
            "windows_node_selector": selector,
            "linux_requests": '{"cpu": "20m", "memory": "64Mi"}',
            "priority_class_standard": "mt5-standard",
            "priority_class_vip": "mt5-vip",
            "priority_class_placeholder": "mt5-placeholder",
            "capacity_look_s": 0.5,
            "admission_look_s": 0.3,
            **more,
        }

    def add(self, capacity: dict[str, str], *, os: Literal["linux", "windows"] = "linux") -> None:
        prefix = f"{self.name}-{len(self.nodes)}-"
        self.nodes += self.plane.add_fake_nodes(1, os=os, prefix=prefix, capacity=capacity)
        self.plane.kubectl("label", "node", self.nodes[-1], f"pool={self.name}")


@pytest.fixture
def pool(plane: ControlPlane) -> Iterator[Pool]:
    """Return a pool without nodes; the PriorityClasses are there."""
    for name, value in CLASSES.items():
        never = {"preemptionPolicy": "Never"} if value < 0 else {}
        kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        plane.kubectl.apply(kind | {"metadata": {"name": name}, "value": value, **never})
    found = Pool(plane, f"pool-{uuid.uuid4().hex[:6]}")
    yield found
    for name in found.nodes:
        plane.kubectl("delete", "node", name)


@contextmanager
def leading(make_operator: MakeOperator, **settings: object) -> Iterator[Operator]:
    operator = make_operator(**settings)
    try:
        operator.lead()
        yield operator
    finally:
        operator.stop()


def pods(kubectl: Kubectl, *, placeholders: bool = False) -> dict[str, Manifest]:
    name = "mt5-placeholder" if placeholders else "mt5-account"
    found = kubectl.list("pod", selector=f"app.kubernetes.io/name={name}")
    return {pod["metadata"]["name"]: pod for pod in found}


def running(kubectl: Kubectl, *, placeholders: bool = False) -> dict[str, str]:
    """Return the uids of pods that have a node and are not about to end."""
    return {
        name: pod["metadata"]["uid"]
        for name, pod in pods(kubectl, placeholders=placeholders).items()
        if "nodeName" in pod["spec"] and "deletionTimestamp" not in pod["metadata"]
    }


def message(kubectl: Kubectl, name: str) -> str:
    return str(condition(kubectl.get("mt5account", name)).get("message", ""))


def ready(kubectl: Kubectl) -> int:
    return sum(condition(a).get("status") == "True" for a in kubectl.list("mt5accounts"))


def create(kubectl: Kubectl, numbers: range) -> None:
    manifests = [account(f"a{n}", login=n + 1) for n in numbers]
    kubectl("create", "--filename", "-", stdin=yaml.safe_dump_all(manifests))


def test_from_5_accounts_to_38_and_back_within_a_minute_each_and_2_places_stay_warm(
    make_operator: MakeOperator, kubectl: Kubectl, redis: RedisServer, pool: Pool
) -> None:
    pool.add(BIG)
    pool.add(BIG)
    kubectl.apply(secret())
    with leading(make_operator, **pool.settings()) as operator:
        create(kubectl, range(5))
        eventually(lambda: ready(kubectl) == 5, timeout_s=60)
        eventually(lambda: len(running(kubectl, placeholders=True)) == 2, timeout_s=20)
        warm = running(kubectl, placeholders=True)

        grown_s = _seconds(lambda: create(kubectl, range(5, 38)), lambda: ready(kubectl) == 38)
        assert running(kubectl, placeholders=True) == warm
        gone = [f"a{n}" for n in range(5, 38)]
        shrunk_s = _seconds(
            lambda: kubectl.delete("mt5account", *gone, wait=False),
            lambda: len(pods(kubectl)) == 5 and len(redis.routes()) == 5,
        )

        print(f"\n5 -> 38: {grown_s:.1f} s, 38 -> 5: {shrunk_s:.1f} s")  # noqa: T201
        assert max(grown_s, shrunk_s) <= 60
        assert running(kubectl, placeholders=True) == warm
        assert operator.metric("mt5_operator_placeholders", platform="Linux", state="ready") == 2


def _seconds(change: Any, done: Any) -> float:
    started = time.monotonic()
    change()
    eventually(done, timeout_s=90)
    return time.monotonic() - started


def test_a_node_takes_as_many_accounts_as_its_cap_and_the_next_is_told_why(
    make_operator: MakeOperator, kubectl: Kubectl, pool: Pool
) -> None:
    pool.add(BIG)
    kubectl.apply(secret())
    settings = pool.settings(linux_accounts_per_node=4)
    with leading(make_operator, **settings):
        create(kubectl, range(5))

        eventually(lambda: ready(kubectl) == 4, timeout_s=30)
        eventually(lambda: "topology spread" in _waiting_words(kubectl), timeout_s=20)
        assert "place 1 in the queue for Linux" in _waiting_words(kubectl)
        # A place is warm only where an account could go: one that waits brings another node.
        eventually(lambda: _without_node(kubectl), timeout_s=20)
        pool.add(BIG)
        eventually(lambda: ready(kubectl) == 5, timeout_s=30)
        eventually(lambda: _placeholder_nodes(kubectl) == [pool.nodes[-1]] * 2, timeout_s=30)
        before = running(kubectl)
    # An upgrade to a tighter cap: nobody is moved for it, and whoever moves anyway keeps to it.
    quick = {"move_pause_s": 0, "move_gather_s": 0, "move_min_ready_s": 0, "move_drain_s": 0.5}
    settings = pool.settings(linux_accounts_per_node=2, warm_linux=0, **quick)
    with leading(make_operator, **settings) as operator:
        eventually(lambda: operator.metric("mt5_operator_nodes_over_cap", platform="Linux") == 1)
        assert running(kubectl) == before
        crowded = [name for name, pod in pods(kubectl).items() if _node(pod) == pool.nodes[0]]
        assert len(crowded) == 4
        moves = crowded[0].removesuffix("-a-0")
        kubectl.annotate("mt5account", moves, {"mt5bridge.io/restart-at": _now()})
        eventually(lambda: crowded[0] not in running(kubectl), timeout_s=40)
        assert _node(pods(kubectl)[f"{moves}-b-0"]) == pool.nodes[1]
        assert ready(kubectl) == 5
        kept = {name: uid for name, uid in before.items() if name != crowded[0]}
        assert kept.items() <= running(kubectl).items()


def _node(pod: Manifest) -> str:
    return str(pod["spec"].get("nodeName", ""))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _placeholder_nodes(kubectl: Kubectl) -> list[str]:
    found = pods(kubectl, placeholders=True).values()
    return [pod["spec"].get("nodeName", "") for pod in found]


def _without_node(kubectl: Kubectl) -> bool:
    return "" in _placeholder_nodes(kubectl)


def _waiting_words(kubectl: Kubectl) -> str:
    found = [condition(a) for a in kubectl.list("mt5accounts")]
    return " ".join(c["message"] for c in found if c.get("reason") == "NoCapacity")


def test_a_vip_takes_a_warm_place_and_the_next_free_one_but_never_a_running_account(
    make_operator: MakeOperator, kubectl: Kubectl, pool: Pool
) -> None:
    pool.add(SMALL)
    kubectl.apply(secret())
    with leading(make_operator, **pool.settings(warm_linux=1)):
        create(kubectl, range(2))
        eventually(lambda: ready(kubectl) == 2, timeout_s=30)
        eventually(lambda: len(running(kubectl, placeholders=True)) == 1, timeout_s=20)

        # The warm place goes to who comes first; the next ones wait.
        kubectl.apply(account("vip", login=100, priority="VIP"))
        eventually(lambda: reason(kubectl, "vip") == "Connected", timeout_s=20)
        before = running(kubectl)
        kubectl.apply(account("plain", login=101))
        eventually(lambda: reason(kubectl, "plain") == "NoCapacity", timeout_s=20)
        kubectl.apply(account("late-vip", login=102, priority="VIP"))
        eventually(lambda: "place 1 " in message(kubectl, "late-vip"), timeout_s=20)
        eventually(lambda: "place 2 " in message(kubectl, "plain"), timeout_s=20)
        eventually(lambda: "plain-a-0" not in pods(kubectl), timeout_s=20)

        assert steady(lambda: running(kubectl), for_s=3)
        assert running(kubectl) == before
        kubectl.delete("mt5account", "a0")
        eventually(lambda: reason(kubectl, "late-vip") == "Connected", timeout_s=20)
        assert reason(kubectl, "plain") == "NoCapacity"
        kubectl.delete("mt5account", "a1")
        eventually(lambda: reason(kubectl, "plain") == "Connected", timeout_s=20)


def test_a_higher_class_for_vips_would_end_running_accounts(
    make_operator: MakeOperator, plane: ControlPlane, kubectl: Kubectl, pool: Pool
) -> None:
    """Why both kinds of accounts share one value (docs/adr/042): the scheduler, left alone."""
    pool.add(SMALL)
    kubectl.apply(secret())
    higher = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 10}
    plane.kubectl.apply(higher | {"metadata": {"name": "too-high"}})
    settings = pool.settings(warm_linux=0, priority_class_vip="too-high")
    with leading(make_operator, **settings):
        create(kubectl, range(3))
        eventually(lambda: ready(kubectl) == 3, timeout_s=30)
        before = running(kubectl)

        kubectl.apply(account("vip", login=100, priority="VIP"))

        eventually(lambda: reason(kubectl, "vip") == "Connected", timeout_s=20)
        assert not before.items() <= running(kubectl).items()


def test_a_new_leader_leaves_a_line_as_it_is(
    make_operator: MakeOperator, kubectl: Kubectl, pool: Pool
) -> None:
    pool.add(SMALL)
    kubectl.apply(secret())
    settings = pool.settings(warm_linux=0, admission_window=2)
    with leading(make_operator, **settings) as operator:
        create(kubectl, range(9))
        eventually(lambda: ready(kubectl) == 3, timeout_s=30)
        eventually(lambda: len(pods(kubectl)) == 5, timeout_s=20, what="two before the scheduler")
        eventually(lambda: steady(operator.writes, for_s=2), timeout_s=30)
        before = {n: p["metadata"]["uid"] for n, p in pods(kubectl).items()}
    with leading(make_operator, **settings) as operator:
        eventually(
            lambda: operator.metric("mt5_operator_reconciles_total", result="done") >= 9,
            timeout_s=20,
        )
        assert steady(lambda: len(pods(kubectl)), for_s=2)

        assert {n: p["metadata"]["uid"] for n, p in pods(kubectl).items()} == before
        assert operator.writes() == 0, operator.writes_by_kind()


def test_windows_places_are_kept_warm_only_for_windows_accounts(
    make_operator: MakeOperator, kubectl: Kubectl, pool: Pool
) -> None:
    pool.add(BIG)
    pool.add(BIG, os="windows")
    kubectl.apply(secret())
    with leading(make_operator, **pool.settings()):
        create(kubectl, range(1))
        eventually(lambda: len(running(kubectl, placeholders=True)) == 2, timeout_s=20)
        assert kubectl.get("deployment", "mt5-bridge-warm-windows") is None

        kubectl.apply(account("win", login=50, brokerCompatibility="Windows"))

        eventually(lambda: len(running(kubectl, placeholders=True)) == 4, timeout_s=30)
        kubectl.delete("mt5account", "win")
        eventually(lambda: len(running(kubectl, placeholders=True)) == 2, timeout_s=30)
