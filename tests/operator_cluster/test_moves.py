# SPDX-License-Identifier: Apache-2.0
"""Two slots: an account moves from one to the other, and never trades in both."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl
from cluster.kwok import fake_node
from mt5_operator.desired.stateful_set import stateful_set
from mt5_operator.names import MANAGER
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import account as parsed
from operator_cluster import sidecar_stub
from operator_cluster.api_proxy import ApiProxy
from operator_cluster.manifests import account, await_reason, condition, secret
from operator_cluster.operator_process import MakeOperator, Operator, eventually
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub
from operator_cluster.watchman import Watchman

pytestmark = pytest.mark.cluster


class Fleet:
    """An installation whose operator is started again with other settings."""

    def __init__(self, make: MakeOperator, kubectl: Kubectl, sidecars: SidecarStub) -> None:
        self._make, self.kubectl, self.sidecars = make, kubectl, sidecars
        self._operator: Operator | None = None

    def make(self, kubeconfig: Path | None = None, /, **changes: Any) -> Operator:
        """Return an operator with quick moves and these settings, not started."""
        quick = {"move_pause_s": 0, "move_gather_s": 0, "move_min_ready_s": 0, "move_drain_s": 0.5}
        return self._make(kubeconfig, **{**quick, "move_failure_pause_s": 0, **changes})

    def lead(self, **changes: Any) -> Operator:
        """Run an operator with quick moves and these settings."""
        self.stop()
        self._operator = self.make(**changes)
        self._operator.lead()
        return self._operator

    def trades(self, **spec: Any) -> str:
        """Lead an account until it trades in slot a; return its pod's uid."""
        self.lead()
        self.kubectl.apply(secret(), account(**spec))
        await_reason(self.kubectl, "Connected")
        first = self.uid("demo-a-0")
        eventually(lambda: self.sidecars.active() == [first])
        return first

    def stop(self) -> None:
        """End the operator."""
        if self._operator:
            self._operator.stop()

    def status(self, name: str = "demo") -> dict[str, Any]:
        """Return the status of an account."""
        found = self.kubectl.get("mt5account", name)
        assert found is not None
        return dict(found.get("status", {}))

    def uid(self, pod: str) -> str:
        """Return a pod's uid; empty if there is none."""
        found = self.kubectl.get("pod", pod)
        return str(found["metadata"]["uid"]) if found else ""

    def owner(self, stateful_set: str) -> str:
        """Return the uid of the account that a StatefulSet belongs to; empty if there is none."""
        found = self.kubectl.get("statefulset", stateful_set)
        return str(found["metadata"]["ownerReferences"][0]["uid"]) if found else ""

    def node(self, pod: str) -> str:
        """Return a pod's node; empty if there is no such pod."""
        found = self.kubectl.get("pod", pod)
        return str(found["spec"].get("nodeName", "")) if found else ""

    def updating(self, name: str = "demo") -> str:
        """Return the reason of Updating; empty if there is nothing to update."""
        found = self.kubectl.get("mt5account", name)
        return str(condition(found, "Updating").get("reason", ""))

    def sets(self) -> list[str]:
        """Return the StatefulSets."""
        return sorted(item["metadata"]["name"] for item in self.kubectl.list("statefulset"))

    def settled(self, slot: str, *, name: str = "demo") -> bool:
        """Tell whether an account is in this slot alone, and on its way nowhere."""
        status = self.status(name)
        trades = status.get("trader", {}).get("slot") == slot
        alone = [each for each in self.sets() if each.startswith(f"{name}-")] == [f"{name}-{slot}"]
        return trades and alone and "move" not in status and status.get("slot") == slot


class Volumes:
    """Volumes of a class that makes none by itself and lets none grow."""

    def __init__(self, plane: ControlPlane, kubectl: Kubectl) -> None:
        self._plane, self._kubectl, self.name = plane, kubectl, kubectl.namespace
        self.made: list[str] = []

    def add(self, size: str) -> None:
        """Add a volume."""
        name = f"{self.name}-{size.lower()}"
        spec = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": self.name,
            "hostPath": {"path": "/nowhere"},
        }
        kind = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
        self._plane.kubectl.apply(kind | {"spec": spec})
        self.made.append(name)

    def claimed(self, pod: str) -> str:
        """Return the size that a pod's claim asks for; empty if there is none, or it goes."""
        found = self._kubectl.get("pvc", f"data-{pod}")
        if found is None or "deletionTimestamp" in found["metadata"]:
            return ""
        return str(found["spec"]["resources"]["requests"]["storage"])


@pytest.fixture
def volumes(plane: ControlPlane, kubectl: Kubectl) -> Iterator[Volumes]:
    found = Volumes(plane, kubectl)
    yield found
    plane.kubectl("delete", "pv", *found.made, "--wait=false")


@pytest.fixture
def fleet(make_operator: MakeOperator, kubectl: Kubectl, sidecars: SidecarStub) -> Fleet:
    return Fleet(make_operator, kubectl, sidecars)


def test_a_new_template_moves_an_account_to_the_other_slot_and_the_next_one_back(
    fleet: Fleet, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub
) -> None:
    first = fleet.trades()
    sidecars.journal(first).keys.append("k1")

    kubectl.patch("mt5account", "demo", {"spec": {"resources": {"requests": {"cpu": "30m"}}}})

    eventually(lambda: fleet.settled("b"), timeout_s=20)
    second = fleet.uid("demo-b-0")
    assert sidecars.active() == [second]
    assert sidecars.journal(second).epoch == 2
    assert sidecars.journal(second).keys == ["k1"]
    assert redis.routes()["10001"]["uid"] == second
    assert redis.routes()["10001"]["epoch"] == 2
    moved = [call for call in sidecars.calls if call[0] in (first, second)][-5:]
    assert moved == [
        (first, "POST activate"),
        (first, "POST fence"),
        (first, "GET journal"),
        (second, "PUT journal"),
        (second, "POST activate"),
    ]
    assert not condition(kubectl.get("mt5account", "demo"), "Updating")
    assert fleet.status()["lastMove"]["outcome"] == "Done"

    fleet.lead(sidecar_image="mt5-bridge/sidecar:next")
    eventually(lambda: fleet.settled("a"), timeout_s=20)
    third = fleet.uid("demo-a-0")
    assert sidecars.active() == [third]
    assert (sidecars.journal(third).epoch, sidecars.journal(third).keys) == (3, ["k1"])
    eventually(lambda: fleet.uid("demo-b-0") == "")


def kubelet_says(kubectl: Kubectl, pod: str, **pending: str) -> None:
    """Say what KWOK never does: the resources that the containers run with, or why not."""
    found = kubectl.get("pod", pod)
    assert found is not None
    status = found["status"]
    groups = {"initContainers": "initContainerStatuses", "containers": "containerStatuses"}
    for group, told in groups.items() if not pending else ():
        amounts = {each["name"]: each["resources"] for each in found["spec"][group]}
        status[told] = [each | {"resources": amounts[each["name"]]} for each in status[told]]
    told = {"type": "PodResizePending", "status": "True", **pending}
    status["conditions"] += [told] if pending else []
    kubectl.patch("pod", pod, {"status": status}, part="status")


def test_resources_change_in_place_where_the_node_can_and_by_a_move_where_it_cannot(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    first = fleet.trades()
    kubelet_says(kubectl, "demo-a-0")

    def asks(cpu: str) -> None:
        wanted = {"requests": {"cpu": cpu}}
        kubectl.patch("mt5account", "demo", {"spec": {"resources": wanted}})
        eventually(lambda: cpu_of("pod", "demo-a-0") == cpu)

    def cpu_of(kind: str, name: str) -> str:
        spec = (kubectl.get(kind, name) or {})["spec"]
        spec = spec["template"]["spec"] if kind == "statefulset" else spec
        return str(spec["containers"][0]["resources"]["requests"]["cpu"])

    asks("30m")
    assert fleet.updating() == "Resizing"
    assert cpu_of("statefulset", "demo-a") != "30m"  # what is not proven is for no other pod
    kubelet_says(kubectl, "demo-a-0")
    eventually(lambda: not fleet.updating())
    eventually(lambda: cpu_of("statefulset", "demo-a") == "30m")
    assert fleet.settled("a")
    assert sidecars.active() == [fleet.uid("demo-a-0")] == [first]

    asks("40m")
    kubelet_says(kubectl, "demo-a-0", reason="Infeasible", message="no room")
    eventually(lambda: fleet.settled("b"), timeout_s=20)
    assert cpu_of("pod", "demo-b-0") == "40m"
    assert sidecars.active() == [fleet.uid("demo-b-0")]


TRIO = ("demo", "two", "three")
ONE_NODE = {"linux_node_selector": '{"kubernetes.io/hostname": "fake-linux-0"}'}
MORE_CPU = "31m"
MORE = {"simulator_requests": json.dumps({"cpu": MORE_CPU, "memory": "50Mi"})}


def a_trio(fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub) -> None:
    """Lead three accounts on one node until they trade, and their kubelet says what they have."""
    fleet.lead(**ONE_NODE)
    accounts = [account(name, login=login) for login, name in enumerate(TRIO, start=10001)]
    kubectl.apply(secret(), *accounts)
    for name in TRIO:
        await_reason(kubectl, "Connected", name)
    eventually(lambda: len(sidecars.active()) == len(TRIO))
    for name in TRIO:
        kubelet_says(kubectl, f"{name}-a-0")


def with_more(kubectl: Kubectl) -> set[str]:
    """Return the pods of slot a for which other resources were asked."""
    found = (kubectl.get("pod", f"{name}-a-0") for name in TRIO)
    return {
        pod["metadata"]["name"]
        for pod in found
        if pod and pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == MORE_CPU
    }


def test_a_change_for_all_asks_one_pod_of_a_node_and_the_others_when_its_kubelet_did_it(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    a_trio(fleet, kubectl, sidecars)
    before = sidecars.active()

    operator = fleet.lead(**ONE_NODE, **MORE)

    eventually(lambda: operator.metric("mt5_operator_resizes_waiting") == len(TRIO) - 1)
    (first,) = with_more(kubectl)
    assert {fleet.updating(name) for name in TRIO} == {"Resizing"}
    kubelet_says(kubectl, first)
    eventually(lambda: len(with_more(kubectl)) == len(TRIO))
    for name in TRIO:
        kubelet_says(kubectl, f"{name}-a-0")
    for name in TRIO:
        eventually(lambda: not fleet.updating(name))  # noqa: B023 - awaited here
        assert fleet.settled("a", name=name)
    assert sorted(sidecars.active()) == sorted(before)
    eventually(lambda: operator.metric("mt5_operator_resizes_waiting") == 0)


def test_of_a_node_whose_kubelet_says_nothing_one_pod_is_asked_and_all_move(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    a_trio(fleet, kubectl, sidecars)

    operator = fleet.lead(**ONE_NODE, **MORE, resize_deadline_s=3)

    for name in TRIO:
        eventually(lambda: fleet.settled("b", name=name), timeout_s=40)  # noqa: B023 - awaited here
    told = [each["reason"] for each in kubectl.list("events.events.k8s.io")]
    assert told.count("NotResized") == 1
    assert operator.metric("mt5_operator_resizes_total", outcome="GivenUp") == 1
    eventually(lambda: operator.metric("mt5_operator_resize_silent_nodes") == 1)


def test_a_move_that_does_not_get_ready_is_rolled_back_and_says_so(
    fleet: Fleet, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub
) -> None:
    first = fleet.trades()

    fleet.lead(sidecar_image="mt5-bridge/sidecar:never-ready", move_deadline_s=3)

    eventually(
        lambda: condition(kubectl.get("mt5account", "demo"), "Updating").get("reason") == "Moving"
    )
    eventually(
        lambda: (
            condition(kubectl.get("mt5account", "demo"), "Updating").get("reason") == "MoveFailed"
        )
    )
    told = condition(kubectl.get("mt5account", "demo"), "Updating")
    assert "the new slot was not ready in 3 s" in told["message"]
    eventually(lambda: fleet.settled("a"))
    assert fleet.uid("demo-a-0") == first
    assert sidecars.active() == [first]
    assert sidecars.journal(first).epoch == 1
    assert redis.routes()["10001"]["uid"] == first
    assert condition(kubectl.get("mt5account", "demo"))["status"] == "True"
    # Another image is tried at once.
    fleet.lead(sidecar_image="mt5-bridge/sidecar:mended")
    eventually(lambda: fleet.settled("b"), timeout_s=20)


def test_a_volume_grows_by_a_move_whatever_its_class_allows(
    fleet: Fleet, volumes: Volumes, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    volumes.add("1Gi")
    first = fleet.trades(storage={"size": "1Gi", "storageClassName": volumes.name})
    sidecars.journal(first).keys.append("k0")

    # There is none of that size: the new slot waits for it, and nothing is lost meanwhile.
    kubectl.patch("mt5account", "demo", {"spec": {"storage": {"size": "2Gi"}}})
    eventually(lambda: volumes.claimed("demo-b-0") == "2Gi")
    eventually(
        lambda: (
            "VolumeUnavailable"
            in condition(kubectl.get("mt5account", "demo"), "Updating").get("message", "")
        )
    )
    assert sidecars.active() == [first]
    # A StatefulSet's claim is for life: the one that waits is made anew.
    kubectl.patch("mt5account", "demo", {"spec": {"storage": {"size": "4Gi"}}})
    eventually(lambda: volumes.claimed("demo-b-0") == "4Gi", timeout_s=30)
    volumes.add("4Gi")

    eventually(lambda: fleet.settled("b"), timeout_s=30)
    second = fleet.uid("demo-b-0")
    assert sidecars.active() == [second]
    assert sidecars.journal(second).keys == ["k0"]
    assert condition(kubectl.get("mt5account", "demo"))["status"] == "True"


def test_a_volume_that_grew_while_its_account_was_suspended_comes_back_and_then_moves(
    fleet: Fleet, volumes: Volumes, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    volumes.add("1Gi")
    first = fleet.trades(storage={"size": "1Gi", "storageClassName": volumes.name})
    kubectl.patch("mt5account", "demo", {"spec": {"suspend": True}})
    eventually(lambda: fleet.uid("demo-a-0") == "")

    grown = {"storage": {"size": "4Gi"}, "suspend": False}
    kubectl.patch("mt5account", "demo", {"spec": grown})

    # On the volume that has its journal.
    eventually(lambda: fleet.uid("demo-a-0") not in ("", first))
    assert volumes.claimed("demo-a-0") == "1Gi"
    await_reason(kubectl, "Connected")
    eventually(lambda: volumes.claimed("demo-b-0") == "4Gi")
    volumes.add("4Gi")
    eventually(lambda: fleet.settled("b"), timeout_s=30)
    assert sidecars.active() == [fleet.uid("demo-b-0")]


def test_an_operator_that_is_started_again_moves_nobody(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    fleet.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    first = fleet.uid("demo-a-0")

    operator = fleet.lead(resync_s=1)
    eventually(lambda: operator.metric("mt5_operator_reconciles_total", result="done") > 5)

    assert fleet.settled("a")
    assert fleet.uid("demo-a-0") == first
    assert sidecars.active() == [first]


def test_a_suspended_account_is_fenced_before_its_pod_goes(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    first = fleet.trades()

    kubectl.patch("mt5account", "demo", {"spec": {"suspend": True}})

    await_reason(kubectl, "Suspended")
    eventually(lambda: fleet.uid("demo-a-0") == "")
    assert sidecars.journal(first).fenced

    kubectl.patch("mt5account", "demo", {"spec": {"suspend": False}})
    await_reason(kubectl, "Connected")
    second = fleet.uid("demo-a-0")
    eventually(lambda: sidecars.active() == [second])
    assert sidecars.journal(second).epoch == 2


def test_an_account_whose_sidecar_never_connects_trades_nowhere_and_reads_wait_for_nobody(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    sidecars.says = sidecar_stub.NOT_CONNECTED
    fleet.lead()
    kubectl.apply(secret(), account())

    eventually(lambda: len(sidecars.active()) == 1)
    sidecars.says = sidecar_stub.CONNECTED
    await_reason(kubectl, "Connected")


def test_a_cordoned_node_is_left_and_a_restart_comes_at_its_time(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    fleet.lead()
    kubectl.apply(secret(), account(), account("stays", login=2, disruption="OnUpgrade"))
    await_reason(kubectl, "Connected")
    await_reason(kubectl, "Connected", "stays")

    node = fleet.node("demo-a-0")
    kubectl("cordon", node)
    eventually(lambda: fleet.settled("b"), timeout_s=20)
    assert fleet.node("demo-b-0") != node
    kubectl("uncordon", node)

    node = fleet.node("stays-a-0")
    kubectl("cordon", node)
    eventually(lambda: fleet.updating("stays") == "UpdateHeld")
    kubectl("uncordon", node)
    eventually(lambda: fleet.updating("stays") == "")
    assert fleet.settled("a", name="stays")

    kubectl("annotate", "mt5account", "stays", "mt5bridge.io/restart-at=tomorrow")
    eventually(lambda: fleet.updating("stays") == "InvalidRestartAt")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    kubectl("annotate", "--overwrite", "mt5account", "stays", f"mt5bridge.io/restart-at={now}")
    eventually(lambda: fleet.settled("b", name="stays"), timeout_s=20)
    assert fleet.updating("stays") == ""


def test_a_drained_node_is_left_by_a_move_and_no_pod_is_evicted(
    fleet: Fleet, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    fleet.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    node, first = fleet.node("demo-a-0"), fleet.uid("demo-a-0")
    eventually(lambda: sidecars.active() == [first])
    budget = kubectl.wait_for(
        "poddisruptionbudget",
        "mt5-bridge-accounts",
        lambda found: "disruptionsAllowed" in found.get("status", {}),
        timeout_s=20,
    )
    assert budget["status"]["disruptionsAllowed"] == 0

    labels = "--pod-selector=mt5bridge.io/account,app.kubernetes.io/instance=demo"
    kubectl("drain", node, labels, "--delete-emptydir-data", "--timeout=60s", timeout_s=90)

    try:
        eventually(lambda: fleet.settled("b"), timeout_s=20)
        second = fleet.uid("demo-b-0")
        assert fleet.node("demo-b-0") != node
        assert sidecars.active() == [second]
        # The old slot was fenced and gave its keys away before it went.
        assert (first, "GET journal") in sidecars.calls
    finally:
        kubectl("uncordon", node)
    kubectl.delete("mt5account", "demo")
    eventually(lambda: kubectl.get("poddisruptionbudget", "mt5-bridge-accounts") is None)


def test_an_account_made_anew_gets_nothing_of_the_one_before_and_the_api_server_sees_to_it(
    fleet: Fleet, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub
) -> None:
    first = fleet.trades()
    # The garbage collector is late: it ends the pod only after the StatefulSet is gone.
    kubectl.patch("statefulset", "demo-a", {"metadata": {"finalizers": ["test-cluster/late"]}})
    kubectl.delete("mt5account", "demo")
    told = len(sidecars.calls)

    kubectl.apply(account(login=20002))

    await_reason(kubectl, "NameTaken")
    found = kubectl.get("mt5account", "demo")
    assert found is not None
    eventually(lambda: redis.routes()["20002"]["reason"] == "NameTaken")
    assert redis.routes()["20002"]["address"] == ""
    assert "trader" not in found["status"]
    there = kubectl.get("statefulset", "demo-a")
    assert there is not None
    assert there["metadata"]["ownerReferences"][0]["uid"] != found["metadata"]["uid"]
    # An operator that knows nothing of the old one yet is refused by the API server.
    wanted = stateful_set(parsed(found), Platform.LINUX, "a", Settings())
    ours = ("--server-side", "--force-conflicts", f"--field-manager={MANAGER}")
    with pytest.raises(CommandFailed, match="are forbidden"):
        kubectl("apply", *ours, "--filename", "-", stdin=json.dumps(wanted))
    assert fleet.uid("demo-a-0") == first
    assert sidecars.calls[told:] == []

    kubectl.patch("statefulset", "demo-a", {"metadata": {"finalizers": []}})
    await_reason(kubectl, "Connected")
    second = fleet.uid("demo-a-0")
    assert second != first
    eventually(lambda: redis.routes()["20002"]["uid"] == second)
    eventually(lambda: sidecars.journal(second).active)
    assert {uid for uid, _ in sidecars.calls[told:]} == {second}


def test_what_the_garbage_collector_forgets_of_an_account_before_does_not_stay(
    fleet: Fleet, plane: ControlPlane, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    first = fleet.trades()
    collector = plane.component("kube-controller-manager")
    collector.signal(signal.SIGSTOP)
    try:
        kubectl.delete("mt5account", "demo")
        kubectl.apply(account(login=20002))

        # The StatefulSet and then its pod, both of the account before, are gone; ours is made.
        eventually(lambda: fleet.uid("demo-a-0") == "", timeout_s=30)
        found = kubectl.get("mt5account", "demo")
        assert found is not None
        wanted = found["metadata"]["uid"]
        eventually(lambda: fleet.owner("demo-a") == wanted, timeout_s=30)
        assert sidecars.active() in ([], [first])
    finally:
        collector.signal(signal.SIGCONT)
    await_reason(kubectl, "Connected")
    second = fleet.uid("demo-a-0")
    assert second != first
    eventually(lambda: sidecars.journal(second).active)


def test_a_pod_deleted_by_force_from_a_silent_node_has_no_successor_until_the_node_is_off(
    fleet: Fleet, plane: ControlPlane, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    fakes = [node["metadata"]["name"] for node in kubectl.list("nodes")]
    machine = Machine(kubectl)
    try:
        kubectl("cordon", *fakes)
        fleet.lead(vanished_pod_wait_s=75)
        kubectl.apply(secret(), account(disruption="Never"))
        eventually(lambda: fleet.node("demo-a-0") == machine.name)
        machine.runs("demo-a-0")
        await_reason(kubectl, "Connected")
        first = fleet.uid("demo-a-0")
        eventually(lambda: sidecars.active() == [first])
        kubectl("uncordon", *fakes)
        kubectl("cordon", machine.name)

        machine.beats()  # for the last time: from now on it is silent, and looks well
        kubectl("delete", "pod", "demo-a-0", "--force", "--grace-period=0", "--wait=false")

        eventually(lambda: fleet.uid("demo-a-0") not in ("", first))
        second = fleet.uid("demo-a-0")
        eventually(lambda: "TraderVanished" in reasons(kubectl))
        while "node.kubernetes.io/unreachable" not in taints(kubectl, machine.name):
            assert fleet.status()["trader"]["pod"] == first
            time.sleep(1)
        for _ in range(3):
            assert fleet.status()["trader"]["pod"] == first
            time.sleep(1)
        assert sidecars.active() == [first]

        off = "node.kubernetes.io/out-of-service=off:NoExecute"
        kubectl("taint", "nodes", machine.name, off)

        eventually(lambda: fleet.status()["trader"]["pod"] == second, timeout_s=20)
        eventually(lambda: second in sidecars.active())
    finally:
        kubectl("uncordon", *fakes)
        plane.kubectl("delete", "node", machine.name)


class Machine:
    """A node whose kubelet is played by hand, so that it can fall silent."""

    name = "by-hand"

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        node = fake_node(self.name, os="linux", capacity={"cpu": "8", "memory": "8Gi", "pods": "9"})
        del node["metadata"]["annotations"]  # by which KWOK knows its own
        kubectl("create", "--filename", "-", stdin=json.dumps(node))
        self.beats()

    def beats(self) -> None:
        """Say that the node is well."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        told = ready | {"lastHeartbeatTime": now, "lastTransitionTime": now, "message": "well"}
        self._kubectl.patch("node", self.name, {"status": {"conditions": [told]}}, part="status")

    def runs(self, pod: str) -> None:
        """Say that a pod runs and is ready."""
        found = self._kubectl.get("pod", pod)
        assert found is not None
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
        up = {"image": "x", "imageID": "x", "ready": True, "started": True, "restartCount": 0}
        up |= {"state": {"running": {"startedAt": now}}}
        groups = {"initContainers": "initContainerStatuses", "containers": "containerStatuses"}
        told = {
            status: [up | {"name": each["name"]} for each in found["spec"][group]]
            for group, status in groups.items()
        }
        where = {"podIP": "10.99.0.9", "podIPs": [{"ip": "10.99.0.9"}], "phase": "Running"}
        status = {**where, **told, "conditions": [ready]}
        self._kubectl.patch("pod", pod, {"status": status}, part="status")


def reasons(kubectl: Kubectl) -> set[str]:
    """Return the reasons of all Events."""
    return {str(item.get("reason")) for item in kubectl.list("events.events.k8s.io")}


def taints(kubectl: Kubectl, node: str) -> set[str]:
    """Return the keys of a node's taints."""
    found = kubectl.get("node", node) or {"spec": {}}
    return {taint["key"] for taint in found["spec"].get("taints", [])}


def test_an_operator_that_ends_after_each_step_of_a_move_ends_the_move(
    fleet: Fleet,
    plane: ControlPlane,
    kubectl: Kubectl,
    redis: RedisServer,
    sidecars: SidecarStub,
    tmp_path: Path,
) -> None:
    first = fleet.trades()
    fleet.stop()
    sidecars.journal(first).keys += ["k0", "k1"]
    proxy, watchman = ApiProxy(plane.kubeconfig, tmp_path), Watchman(kubectl, redis, sidecars)
    operator = fleet.make(proxy.kubeconfig, sidecar_image="sidecar:next")
    steps = Steps(operator)
    proxy.start()
    watchman.start()
    try:
        proxy.done = steps.written
        sidecars.done = steps.called
        operator.start(wait=False)
        while not fleet.settled("b"):
            steps.begin_again()
            time.sleep(0.1)
        eventually(lambda: watchman.judged == len(sidecars.activations) == 2)
    finally:
        operator.stop()
        watchman.end()
        proxy.stop()

    # Begun, handing over, taken over, draining, done; fenced, given away, taken, activated.
    assert steps.writes >= 5
    assert [call for _, call in steps.calls] == STEPS_OF_SIDECARS
    assert not watchman.harm
    second = fleet.uid("demo-b-0")
    assert sidecars.active() == [second]
    assert sidecars.journal(second).keys == ["k0", "k1"]
    assert sidecars.journal(second).epoch == 2
    assert redis.routes()["10001"]["uid"] == second


STEPS_OF_SIDECARS = ["POST fence", "GET journal", "PUT journal", "POST activate"]


class Steps:
    """Kills an operator after each of its steps: what it did is done, and it never heard so."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.writes = 0
        # Each once: a handover whose answer is always lost would never end.
        self.calls: list[tuple[str, str]] = []

    def written(self, path: str) -> None:
        """Take in a write to the API server."""
        if path.endswith("/mt5accounts/demo/status"):
            self.writes += 1
            self._operator.crash()

    def called(self, call: tuple[str, str]) -> None:
        """Take in a call of a sidecar."""
        if call not in self.calls:
            self.calls.append(call)
            self._operator.crash()

    def begin_again(self) -> None:
        """Start it again if it was killed."""
        self._operator.revive()


SEEDS = int(os.environ.get("MT5_CRASH_SEEDS", "2"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_amid_moves_the_operator_ends_them_and_two_slots_never_trade(
    fleet: Fleet, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed is the point
    names = ["one", "two", "three"]
    fleet.lead()
    kubectl.apply(secret(), *(account(name, login=n + 1) for n, name in enumerate(names)))
    for name in names:
        await_reason(kubectl, "Connected", name)
    eventually(lambda: len(sidecars.active()) == 3)
    for number, uid in enumerate(sidecars.active()):
        sidecars.journal(uid).keys.append(f"k{number}")

    watchman = Watchman(kubectl, redis, sidecars)
    watchman.start()
    for image in ("one", "two"):
        operator = fleet.lead(sidecar_image=f"sidecar:{image}", move_drain_s=0.2)
        for _ in range(3):
            time.sleep(chance.uniform(0, 1.2))
            operator.kill()
            operator.lead()
    operator.stop()
    fleet.lead(sidecar_image="sidecar:end")

    def ended() -> bool:
        images = {
            pod["metadata"]["labels"]["mt5bridge.io/account"]: pod["spec"]["containers"][0]["image"]
            for pod in kubectl.list("pod")
        }
        return images == dict.fromkeys(names, "sidecar:end") and all(
            fleet.settled(fleet.status(name)["slot"], name=name) for name in names
        )

    try:
        eventually(ended, timeout_s=90, what=f"seed {seed}")
        eventually(lambda: watchman.judged == len(sidecars.activations) > 3)
    finally:
        watchman.end()
    assert not watchman.harm
    pods = {pod["metadata"]["uid"] for pod in kubectl.list("pod")}
    assert set(sidecars.active()) == pods
    assert sorted(key for uid in pods for key in sidecars.journal(uid).keys) == ["k0", "k1", "k2"]
    assert {route["uid"] for route in redis.routes().values()} == pods
