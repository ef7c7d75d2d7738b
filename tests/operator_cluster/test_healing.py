# SPDX-License-Identifier: Apache-2.0
"""The healing ladder on a real API server; times are shortened. And quotas of namespaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, await_reason, condition, reason, secret
from operator_cluster.operator_process import MakeOperator, Operator, eventually, steady
from operator_cluster.sidecar_stub import CONNECTED, SidecarStub

pytestmark = pytest.mark.cluster

FAULT = {"state": "Disconnected", "reason": "TerminalFault", "message": "it hung"}
OUTAGE = {"state": "Disconnected", "reason": "BrokerUnreachable", "message": "away"}


@pytest.fixture
def healing(make_operator: MakeOperator, request: pytest.FixtureRequest) -> Operator:
    """Return an operator with little patience; its ladder may be a test's own."""
    return make_operator(
        heal_after_s=2,
        heal_after_max_s=2,
        heal_grace_s=1,
        heal_forget_s=4,
        heal_ladder=getattr(request, "param", '["NewPod", "OtherNode"]'),
    )


def uid(kubectl: Kubectl, name: str = "demo") -> str:
    pod = kubectl.get("pod", f"{name}-a-0") or {"metadata": {"uid": ""}}
    return str(pod["metadata"]["uid"])


def test_an_account_that_does_not_come_back_gets_a_new_pod_another_node_and_then_a_person(
    healing: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    healing.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    first = kubectl.get("pod", "demo-a-0") or {}

    sidecars.says = dict(FAULT)

    eventually(lambda: _healing(kubectl).get("step") == "NewPod", timeout_s=30)
    eventually(lambda: uid(kubectl) not in ("", first["metadata"]["uid"]), timeout_s=20)
    eventually(lambda: _healing(kubectl).get("step") == "OtherNode", timeout_s=30)
    eventually(lambda: _stalled(kubectl) == "HealingExhausted", timeout_s=60)
    second = kubectl.get("pod", "demo-a-0") or {}
    assert second["spec"]["nodeName"] not in _healing(kubectl)["avoid"]
    assert reason(kubectl) == "TerminalFault"
    assert steady(lambda: uid(kubectl), for_s=4), "nothing more is tried"
    notes = {event["reason"] for event in kubectl.list("events.events.k8s.io")}
    assert "Healing" in notes
    assert healing.metric("mt5_operator_healing_steps_total") == 2

    last = uid(kubectl)
    sidecars.says = dict(CONNECTED)
    await_reason(kubectl, "Connected")
    eventually(lambda: _healing(kubectl).get("taken") == 0, timeout_s=20)
    assert uid(kubectl) == last, "who is well keeps the pod"


@pytest.fixture
def storage(plane: ControlPlane, kubectl: Kubectl) -> Iterator[dict[str, str]]:
    """Return the storage of an account for whose claim there is a volume."""
    name = kubectl.namespace
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "hostPath": {"path": "/nowhere"},
    }
    kind = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    plane.kubectl.apply(kind | {"spec": spec})
    yield {"size": "1Gi", "storageClassName": name}
    plane.kubectl("delete", "pv", name, "--wait=false")


@pytest.mark.parametrize("healing", ['["CleanProfile"]'], indirect=True)
def test_a_clean_profile_is_another_directory_of_the_same_volume(
    healing: Operator, kubectl: Kubectl, sidecars: SidecarStub, storage: dict[str, str]
) -> None:
    healing.lead()
    kubectl.apply(secret(), account(storage=storage))
    await_reason(kubectl, "Connected")
    first, volume = uid(kubectl), _volume(kubectl)
    assert volume == storage["storageClassName"]
    assert _directories(kubectl) == {"terminal": ["terminal"], "sidecar": ["journal"]}

    sidecars.says_of[first] = dict(FAULT)

    eventually(lambda: uid(kubectl) not in ("", first), timeout_s=40)
    await_reason(kubectl, "Connected")
    assert _directories(kubectl) == {
        "terminal": ["terminal-1"],
        "sidecar": ["journal"],
        "tidy-profiles": [],
    }
    assert _volume(kubectl) == volume
    assert _healing(kubectl)["profile"] == 1
    last = uid(kubectl)
    eventually(lambda: _healing(kubectl).get("taken") == 0, timeout_s=20)
    assert steady(lambda: uid(kubectl), for_s=2), "who is well keeps the pod"
    assert uid(kubectl) == last


def _volume(kubectl: Kubectl) -> str:
    claim = kubectl.get("pvc", "data-demo-a-0") or {"spec": {}}
    return str(claim["spec"].get("volumeName", ""))


def _directories(kubectl: Kubectl) -> dict[str, list[str]]:
    spec = (kubectl.get("pod", "demo-a-0") or {})["spec"]
    return {
        each["name"]: [m["subPath"] for m in each["volumeMounts"] if "subPath" in m]
        for each in spec["initContainers"] + spec["containers"]
    }


def test_a_broker_that_is_down_restarts_no_pod(
    healing: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    # An earlier test's installation reviewed it, and is not known to be gone.
    kubectl("delete", "mt5brokers", "--all", "--wait=true")
    healing.lead()
    names = [f"a{n}" for n in range(6)]
    kubectl.apply(secret(), *(account(name, login=n + 1) for n, name in enumerate(names)))
    for name in names:
        await_reason(kubectl, "Connected", name)
    before = [uid(kubectl, name) for name in names]

    sidecars.says = dict(OUTAGE)

    eventually(lambda: healing.metric("mt5_operator_broker_outages") == 1, timeout_s=30)
    assert steady(lambda: [uid(kubectl, name) for name in names], for_s=5)
    assert [uid(kubectl, name) for name in names] == before
    events = [event["reason"] for event in kubectl.list("events.events.k8s.io")]
    assert events.count("BrokerOutage") == 1
    assert "Healing" not in events
    eventually(lambda: condition(kubectl.get("mt5broker", "simulator-demo"), "Outage"))
    told = condition(kubectl.get("mt5broker", "simulator-demo"), "Outage")
    assert (told["status"], told["reason"]) == ("True", "BrokerOutage")
    assert re.search(r"Simulator-Demo: [3-6] of 6 accounts", told["message"])

    sidecars.says = dict(CONNECTED)
    eventually(lambda: not condition(kubectl.get("mt5broker", "simulator-demo"), "Outage"))


def _healing(kubectl: Kubectl) -> dict[str, object]:
    found = kubectl.get("mt5account", "demo") or {}
    return dict(found.get("status", {}).get("healing", {}))


def _stalled(kubectl: Kubectl) -> str:
    return str(condition(kubectl.get("mt5account", "demo"), "Stalled").get("reason", ""))


def test_a_namespace_runs_as_many_accounts_as_it_may_the_oldest_first(
    make_operator: MakeOperator, kubectl: Kubectl
) -> None:
    kubectl.apply(secret(), account("a0", login=1))
    free = make_operator()
    free.lead()
    for number in (1, 2):
        kubectl.apply(account(f"a{number}", login=number + 1))
        await_reason(kubectl, "Connected", f"a{number}")
    free.stop()
    make_operator(accounts_per_namespace=2).lead()
    kubectl.apply(account("a3", login=4))
    told = await_reason(kubectl, "QuotaExceeded", "a3")
    assert "may run 2 accounts" in told["message"]
    assert kubectl.get("pod", "a3-a-0") is None
    assert reason(kubectl, "a2") == "Connected", "a quota ends nobody who runs"

    kubectl.delete("mt5account", "a0")
    kubectl.delete("mt5account", "a1")

    await_reason(kubectl, "Connected", "a3")
