# SPDX-License-Identifier: Apache-2.0
"""Random faults from a seed, two replicas, and what must hold throughout and in the end.

`make chaos SEEDS=20`; a failure names its seed and what was done. The tests of single faults are
in the other files; here they meet each other.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import RedisError

from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, condition, secret
from operator_cluster.operator_process import Operator, eventually
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

SEEDS = int(os.environ.get("MT5_CHAOS_SEEDS", "1"))
STEPS = int(os.environ.get("MT5_CHAOS_STEPS", "14"))
NODES = 2


class Watchman(threading.Thread):
    """Looks all the time whether a client could reach an account that is not its own."""

    def __init__(self, kubectl: Kubectl, redis: RedisServer) -> None:
        super().__init__(daemon=True)
        self._kubectl, self._redis = kubectl, redis
        self._over = threading.Event()
        # Account of each pod that was ever seen, by uid; a pod name is of one account for ever.
        self._pods: dict[str, str] = {}
        self._epochs: dict[str, int] = {}
        self.looks = 0
        self.harm: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.2):
            with suppress(CommandFailed, RedisError, OSError):
                self._look()

    def end(self) -> None:
        self._over.set()
        self.join(20)

    def _look(self) -> None:
        routes = self._redis.routes()
        pods = self._kubectl.list("pod", selector="app.kubernetes.io/name=mt5-account")
        accounts = self._kubectl.list("mt5accounts")
        ids = {item["metadata"]["name"]: _id(item) for item in accounts}
        self.looks += 1
        serving: dict[str, int] = {}
        for pod in pods:
            name = pod["metadata"]["labels"]["mt5bridge.io/account"]
            self._pods[pod["metadata"]["uid"]] = name
            ending = "deletionTimestamp" in pod["metadata"]
            serving[name] = serving.get(name, 0) + (not ending)
        self.harm += [f"{count} pods of {name}" for name, count in serving.items() if count > 1]
        for wanted, route in routes.items():
            owner = self._pods.get(route["uid"])
            if owner in ids and ids[owner] != wanted:
                self.harm.append(f"the route of {wanted} leads to the pod of {owner}")
            if route["epoch"] < self._epochs.get(wanted, 0):
                self.harm.append(f"the epoch of {wanted} went back to {route['epoch']}")
            self._epochs[wanted] = route["epoch"]


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
        self.wanted = {f"a{n}": (n + 1, False) for n in range(5)}
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
            self.add_an_account,
            self.delete_an_account,
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
                time.sleep(self.chance.uniform(1, 5))
                replica.unpause()

    def restart_the_api_server(self) -> None:
        self.plane.restart_apiserver(kill=True)

    def flush_redis(self) -> None:
        self.redis.client.flushall()

    def take_redis_away(self) -> None:
        self.redis.stop()
        time.sleep(self.chance.uniform(0, 3))
        self.redis.start()

    def delete_a_pod(self) -> None:
        self.kubectl("delete", "pod", f"{self._any()}-a-0", "--ignore-not-found", "--wait=false")

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
        self.kubectl.patch("statefulset", f"{self._any()}-a", change)

    def delete_a_stateful_set(self) -> None:
        self.kubectl.delete("statefulset", f"{self._any()}-a", wait=False)

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
        login, suspended = self.wanted[name]
        self.kubectl.patch("mt5account", name, {"spec": {"suspend": not suspended}})
        self.wanted[name] = (login, not suspended)

    def add_an_account(self) -> None:
        name, login = f"a{self.born}", self.born + 1
        self.kubectl.apply(account(name, login=login))
        self.wanted[name] = (login, False)
        self.born += 1

    def delete_an_account(self) -> None:
        if len(self.wanted) > 2:
            name = self._any()
            self.kubectl.delete("mt5account", name, wait=False)
            del self.wanted[name]

    def _any(self) -> str:
        return self.chance.choice(sorted(self.wanted))

    def _restart(self, replica: Operator) -> None:
        replica.kill()
        replica.start(wait=False)


@pytest.fixture
def replicas(
    plane: ControlPlane, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub
) -> Iterator[list[Operator]]:
    """Return two replicas; Redis is compared often, so that a forged route does not live long."""
    found = [
        Operator(
            plane.kubeconfig,
            kubectl.namespace,
            redis_url=redis.url,
            sidecar=sidecars.address,
            name=f"operator-{number}",
            route_compare_s=3,
            stuck_pod_s=3,
        )
        for number in range(2)
    ]
    yield found
    for operator in found:
        operator.stop()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_no_route_is_wrong_and_all_ends_as_it_should(
    plane: ControlPlane,
    kubectl: Kubectl,
    redis: RedisServer,
    replicas: list[Operator],
    seed: int,
) -> None:
    chaos = Chaos(plane, kubectl, redis, replicas, seed)
    watchman = Watchman(kubectl, redis)
    kubectl.apply(secret(), *(account(name, login=n) for name, (n, _) in chaos.wanted.items()))
    replicas[0].lead()
    replicas[1].start()
    watchman.start()
    try:
        for _ in range(STEPS):
            chaos.step()
        told = f"seed {seed}: {chaos.done}"
        eventually(
            lambda: not _wrong(kubectl, redis, chaos.wanted),
            timeout_s=120,
            what=f"{told} to end as it should",
        )
    except Exception as error:
        error.add_note(f"seed {seed}: {chaos.done}; wrong: {_wrong(kubectl, redis, chaos.wanted)}")
        raise
    finally:
        watchman.end()

    assert not watchman.harm, told
    assert watchman.looks > STEPS


def _wrong(
    kubectl: Kubectl, redis: RedisServer, wanted: dict[str, tuple[int, bool]]
) -> dict[str, Any]:
    """Return what is not as the specs say; the garbage collector has its own time."""
    accounts = {item["metadata"]["name"]: item for item in kubectl.list("mt5accounts")}
    pods = {p["metadata"]["name"]: p for p in kubectl.list("pod")}
    sets = {s["metadata"]["name"]: s for s in kubectl.list("statefulset")}
    routes, found = redis.routes(), dict[str, Any]()
    if set(accounts) != set(wanted):
        found["accounts"] = sorted(accounts)
    for name, (login, suspended) in wanted.items():
        told = condition(accounts.get(name)).get("reason")
        pod = pods.pop(f"{name}-a-0", {})
        address = routes.pop(str(login), {}).get("address")
        should = "" if suspended else f"{pod.get('status', {}).get('podIP')}:8080"
        if told != ("Suspended" if suspended else "Connected") or address != should:
            found[name] = (told, address, should)
        template = sets.pop(f"{name}-a", {"spec": {}})["spec"].get("template", {"spec": {}})
        if template["spec"].get("terminationGracePeriodSeconds") == 1:
            found[f"{name}-a"] = "edited by hand"
    orphans = {"pods": pods, "sets": sets, "routes": routes}
    found |= {kind: sorted(left) for kind, left in orphans.items() if left}
    if not redis.client.get("mt5:routes:complete"):
        found["marker"] = "missing"
    return found


def _id(manifest: dict[str, Any]) -> str:
    return str(manifest["spec"].get("accountId") or manifest["spec"]["login"])
