# SPDX-License-Identifier: Apache-2.0
"""Random faults from a seed, two replicas, and what must hold throughout and in the end.

`make chaos SEEDS=20`; a failure names its seed and what was done. The tests of single faults are
in the other files; here they meet each other.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, condition, secret
from operator_cluster.operator_process import QUICK_LEASE, MakeOperator, Operator, eventually
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub
from operator_cluster.watchman import Watchman

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SEEDS = int(os.environ.get("MT5_CHAOS_SEEDS", "1"))
FIRST = int(os.environ.get("MT5_CHAOS_FIRST", "0"))
STEPS = int(os.environ.get("MT5_CHAOS_STEPS", "14"))
NODES = 2


@dataclass(frozen=True)
class Wanted:
    """What an account should be in the end."""

    login: int
    suspended: bool = False
    cpu: str = ""


class Chaos:
    """What can go wrong, one thing at a time."""

    def __init__(
        self,
        plane: ControlPlane,
        kubectl: Kubectl,
        redis: RedisServer,
        replicas: list[Operator],
        seed: int,
    ) -> None:
        self.plane, self.kubectl, self.redis, self.replicas = plane, kubectl, redis, replicas
        self.chance = random.Random(seed)  # noqa: S311 - a seed is the point
        self.done: list[str] = []
        # What every account should be: its login, and whether it is suspended.
        self.wanted = {f"a{n}": Wanted(n + 1) for n in range(5)}
        self.platform = "Linux"
        self.born = len(self.wanted)

    def step(self) -> None:
        """Do one thing, and wait a moment that is different each time."""
        what: Callable[[], None] = self.chance.choice(self._faults())
        self.done.append(what.__name__)
        with suppress(CommandFailed):  # an API server that is away is a part of it
            what()
        time.sleep(self.chance.uniform(0, 1.5))
        for replica in self.replicas:
            if replica.exit_code() is not None:
                replica.start(wait=False)  # as the kubelet would

    def _faults(self) -> list[Callable[[], None]]:
        return [
            self.kill_a_replica,
            self.kill_the_leader,
            self.let_the_leader_hang,
            self.restart_the_api_server,
            self.halt_the_controllers,
            self.flush_redis,
            self.take_redis_away,
            self.delete_a_pod,
            self.lose_a_node,
            self.edit_a_stateful_set,
            self.delete_a_stateful_set,
            self.delete_the_files,
            self.harm_a_route_shard,
            self.forge_a_route,
            self.suspend_or_resume,
            self.change_the_template,
            self.change_the_template,
            self.ask_for_a_restart,
            self.cordon_a_node,
            self.uncordon_the_nodes,
            self.pin_the_broker,
            self.add_an_account,
            self.delete_an_account,
            self.make_an_account_anew,
        ]

    def kill_a_replica(self) -> None:
        self._restart(self.chance.choice(self.replicas))

    def kill_the_leader(self) -> None:
        for replica in self.replicas:
            if replica.leads():
                self._restart(replica)

    def let_the_leader_hang(self) -> None:
        for replica in self.replicas:
            if replica.leads():
                replica.pause()
                time.sleep(self.chance.uniform(1, 8))
                replica.unpause()

    def restart_the_api_server(self) -> None:
        self.plane.restart_apiserver(kill=True)

    def halt_the_controllers(self) -> None:
        """Nobody makes or removes pods for a while, and what happens meanwhile is seen at once."""
        controllers = self.plane.component("kube-controller-manager")
        controllers.signal(signal.SIGSTOP)
        try:
            self.make_an_account_anew()
            time.sleep(self.chance.uniform(0, 2))
        finally:
            controllers.signal(signal.SIGCONT)

    def flush_redis(self) -> None:
        self.redis.client.flushall()

    def take_redis_away(self) -> None:
        self.redis.stop()
        time.sleep(self.chance.uniform(0, 3))
        self.redis.start()

    def delete_a_pod(self) -> None:
        name = f"{self._any_slot()}-0"
        self.kubectl("delete", "pod", name, "--ignore-not-found", "--wait=false")

    def lose_a_node(self) -> None:
        name = f"fake-linux-{self.chance.randrange(NODES)}"
        self.plane.kubectl("delete", "node", name)
        lost = self.kubectl("get", "pods", f"--field-selector=spec.nodeName={name}", "-oname")
        if lost.split():  # as the out-of-service taint does
            self.kubectl("delete", *lost.split(), "--force", "--grace-period=0", "--wait=false")
        self.plane.add_fake_nodes(NODES)

    def edit_a_stateful_set(self) -> None:
        # Fields of ours: what others add, and we never speak of, is theirs.
        change = {
            "spec": {"replicas": 0, "template": {"spec": {"terminationGracePeriodSeconds": 1}}}
        }
        self.kubectl.patch("statefulset", self._any_slot(), change)

    def delete_a_stateful_set(self) -> None:
        self.kubectl.delete("statefulset", self._any_slot(), wait=False)

    def delete_the_files(self) -> None:
        self.kubectl.delete("configmap", f"{self._any()}-account", "mt5-bridge-access", wait=False)

    def harm_a_route_shard(self) -> None:
        name = f"mt5-routes-{self.chance.randrange(4)}"
        self.kubectl.patch("configmap", name, {"data": {"routes.json": "{"}})

    def forge_a_route(self) -> None:
        forged = {"address": "", "slot": "a", "epoch": 1, "uid": "", "reason": "", "message": ""}
        self.redis.client.hset("mt5:routes", "nobody", json.dumps(forged))

    def suspend_or_resume(self) -> None:
        name = self._any()
        wanted = replace(self.wanted[name], suspended=not self.wanted[name].suspended)
        self.kubectl.patch("mt5account", name, {"spec": {"suspend": wanted.suspended}})
        self.wanted[name] = wanted

    def change_the_template(self) -> None:
        name, cpu = self._any(), f"{self.chance.randrange(21, 60)}m"
        change = {"spec": {"resources": {"requests": {"cpu": cpu}}}}
        self.kubectl.patch("mt5account", name, change)
        self.wanted[name] = replace(self.wanted[name], cpu=cpu)

    def ask_for_a_restart(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.kubectl.annotate("mt5account", self._any(), {"mt5bridge.io/restart-at": now})

    def cordon_a_node(self) -> None:
        self.plane.kubectl("cordon", f"fake-linux-{self.chance.randrange(NODES)}")

    def uncordon_the_nodes(self) -> None:
        self.plane.kubectl("uncordon", *(f"fake-linux-{number}" for number in range(NODES)))

    def pin_the_broker(self) -> None:
        platform = self.chance.choice(["Linux", "Windows"])
        spec = {"servers": ["Simulator-Demo"], "platform": platform}
        meta = {"name": "simulator-demo"}
        kind = {"apiVersion": "mt5bridge.io/v1alpha1", "kind": "MT5Broker"}
        self.plane.kubectl.apply({**kind, "metadata": meta, "spec": spec}, server_side=True)
        self.platform = platform

    def add_an_account(self) -> None:
        name, login = f"a{self.born}", self.born + 1
        self.kubectl.apply(account(name, login=login))
        self.wanted[name] = Wanted(login)
        self.born += 1

    def delete_an_account(self) -> None:
        if len(self.wanted) > 2:
            name = self._any()
            self.kubectl.delete("mt5account", name, wait=False)
            del self.wanted[name]

    def make_an_account_anew(self) -> None:
        """As the CRD says of a login that is to change: delete the account, and create it again."""
        name, login = self._any(), self.born + 1
        self.born += 1
        self.kubectl.delete("mt5account", name, wait=False)
        del self.wanted[name]
        until = time.monotonic() + 5
        while self.kubectl.get("mt5account", name) is not None:
            if time.monotonic() > until:
                return  # nobody leads just now: it is deleted, then
        self.kubectl.apply(account(name, login=login))
        self.wanted[name] = Wanted(login)

    def _any(self) -> str:
        return self.chance.choice(sorted(self.wanted))

    def _any_slot(self) -> str:
        return f"{self._any()}-{self.chance.choice('ab')}"

    def _restart(self, replica: Operator) -> None:
        replica.kill()
        replica.start(wait=False)


@pytest.fixture
def replicas(make_operator: MakeOperator) -> list[Operator]:
    """Return two replicas; Redis is compared often, so that a forged route does not live long."""
    return [
        make_operator(
            name=f"operator-{number}",
            route_compare_s=3,
            stuck_pod_s=3,
            broker_review_s=1,
            move_max=2,
            move_pause_s=0,
            move_gather_s=0,
            move_min_ready_s=0,
            move_drain_s=0.5,
            move_deadline_s=15,
            move_failure_pause_s=0,
            move_backoff_min_s=1,
            move_backoff_max_s=2,
            **QUICK_LEASE,
        )
        for number in range(2)
    ]


@pytest.fixture
def a_windows_node(plane: ControlPlane) -> Iterator[None]:
    """Let there be a Windows node, and no broker that is known, for a test."""
    (name,) = plane.add_fake_nodes(1, os="windows")
    yield
    plane.kubectl("delete", "node", name)
    plane.kubectl("delete", "mt5brokers", "--all", "--wait=true")


@pytest.mark.usefixtures("a_windows_node")
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_whatever_happens_no_route_is_wrong_and_all_ends_as_it_should(
    plane: ControlPlane,
    kubectl: Kubectl,
    redis: RedisServer,
    sidecars: SidecarStub,
    replicas: list[Operator],
    seed: int,
) -> None:
    chaos = Chaos(plane, kubectl, redis, replicas, seed)
    watchman = Watchman(kubectl, redis, sidecars)
    born = [account(name, login=wanted.login) for name, wanted in chaos.wanted.items()]
    kubectl.apply(secret(), *born)
    replicas[0].lead()
    replicas[1].start()
    watchman.start()
    try:
        for _ in range(STEPS):
            chaos.step()
        chaos.pin_the_broker()
        chaos.uncordon_the_nodes()
        told = f"seed {seed}: {chaos.done}"
        eventually(
            lambda: not _wrong(kubectl, redis, sidecars, chaos),
            timeout_s=120,
            what=f"{told} to end as it should",
        )
    except Exception as error:
        error.add_note(f"{chaos.done}; wrong: {_wrong(kubectl, redis, sidecars, chaos)}")
        raise
    finally:
        watchman.end()

    assert not watchman.harm, told
    assert watchman.looks > STEPS
    assert sidecars.activations


def _wrong(
    kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub, chaos: Chaos
) -> dict[str, Any]:
    """Return what is not as the specs say; the garbage collector has its own time."""
    accounts = {item["metadata"]["name"]: item for item in kubectl.list("mt5accounts")}
    pods = {p["metadata"]["name"]: p for p in kubectl.list("pod")}
    sets = {s["metadata"]["name"]: s for s in kubectl.list("statefulset")}
    routes, found = redis.routes(), dict[str, Any]()
    if set(accounts) != set(chaos.wanted):
        found["accounts"] = sorted(accounts)
    for name, wanted in chaos.wanted.items():
        status = accounts.get(name, {}).get("status", {})
        slot = f"{name}-{status.get('slot')}"
        pod, route = pods.pop(f"{slot}-0", {}), routes.pop(str(wanted.login), {})
        its = [sets.pop(slot, {"spec": {}})]
        if wanted.suspended:  # the other slot stays, without a pod
            its += [sets.pop(f"{name}-{each}") for each in "ab" if f"{name}-{each}" in sets]
        found |= _wrong_one(name, wanted, accounts.get(name), pod, route, its)
        trades = [uid for uid in sidecars.active() if uid == pod.get("metadata", {}).get("uid")]
        if not wanted.suspended and (not trades or _platform(pod) != chaos.platform):
            found[f"{name}-0"] = (trades, _platform(pod), chaos.platform, status.get("move"))
    orphans = {"pods": pods, "sets": sets, "routes": routes}
    found |= {kind: sorted(left) for kind, left in orphans.items() if left}
    if not redis.client.get("mt5:routes:complete"):
        found["marker"] = "missing"
    return found


def _wrong_one(
    name: str,
    wanted: Wanted,
    account: dict[str, Any] | None,
    pod: dict[str, Any],
    route: dict[str, Any],
    sets: list[dict[str, Any]],
) -> dict[str, Any]:
    found = dict[str, Any]()
    told = condition(account).get("reason")
    should = "" if wanted.suspended else f"{pod.get('status', {}).get('podIP')}:8080"
    address = route.get("address")
    if told != ("Suspended" if wanted.suspended else "Connected") or address != should:
        found[name] = (told, address, should)
    for each in sets:
        template = each["spec"].get("template", {"spec": {}})["spec"]
        if template.get("terminationGracePeriodSeconds") == 1:
            found[f"{name} set"] = "edited by hand"
    containers = pod.get("spec", {}).get("containers", [])
    cpu = [each["resources"]["requests"]["cpu"] for each in containers]
    if wanted.cpu and cpu and cpu != [wanted.cpu]:
        found[f"{name} cpu"] = (cpu, wanted.cpu)
    return found


def _platform(pod: dict[str, Any]) -> str:
    return str(pod.get("spec", {}).get("os", {}).get("name", "")).capitalize()
