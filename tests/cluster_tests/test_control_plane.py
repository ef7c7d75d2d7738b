# SPDX-License-Identifier: Apache-2.0
"""The control plane with fake nodes, as tests of the operator use it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl, condition
from cluster.kwok import Mode

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def nodes(control_plane: ControlPlane) -> list[str]:
    return control_plane.add_fake_nodes(1) + control_plane.add_fake_nodes(1, os="windows")


def stateful_set(name: str, *, image: str = "any", windows: bool = False) -> dict[str, Any]:
    labels = {"app": name}
    pod: dict[str, Any] = {
        "nodeSelector": {"kubernetes.io/os": "windows" if windows else "linux"},
        "tolerations": [{"key": "os", "value": "windows"}] if windows else [],
        "initContainers": [{"name": "sidecar", "image": "any", "restartPolicy": "Always"}],
        "containers": [{"name": "main", "image": image}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def has_an_address(pod: dict[str, Any]) -> bool:
    return bool(pod["status"].get("podIP"))


def ready(pod: dict[str, Any]) -> bool:
    return condition(pod, "Ready") == "True"


@pytest.mark.parametrize("windows", [False, True])
def test_a_stateful_sets_pod_becomes_ready_with_an_address(
    kubectl: Kubectl, *, windows: bool
) -> None:
    kubectl.apply(stateful_set("web", windows=windows))

    pod = kubectl.wait_for_ready("pod", "web-0")

    assert has_an_address(pod)
    assert pod["spec"]["nodeName"] == ("fake-windows-0" if windows else "fake-linux-0")
    kubectl.wait_for("statefulset", "web", lambda found: found["status"].get("readyReplicas") == 1)


def test_a_pod_that_may_not_be_ready_becomes_so_when_the_test_allows_it(kubectl: Kubectl) -> None:
    kubectl.apply(stateful_set("web", image=f"any:{Mode.NEVER_READY}"))
    before = kubectl.wait_for("pod", "web-0", has_an_address)

    kubectl.annotate("pod", "web-0", {"test-cluster/pod": Mode.READY})

    after = kubectl.wait_for_ready("pod", "web-0")
    assert condition(before, "Ready") == "False"
    assert before["status"]["podIP"] == after["status"]["podIP"]


def test_a_ready_pod_can_be_made_unready(kubectl: Kubectl) -> None:
    kubectl.apply(stateful_set("web"))
    kubectl.wait_for_ready("pod", "web-0")

    kubectl.annotate("pod", "web-0", {"test-cluster/pod": Mode.NEVER_READY})

    kubectl.wait_for("pod", "web-0", lambda pod: condition(pod, "Ready") == "False")


def test_a_pod_can_be_made_to_crash(kubectl: Kubectl) -> None:
    def waits_in(pod: dict[str, Any]) -> str | None:
        statuses = pod["status"].get("containerStatuses", [])
        return statuses[0]["state"].get("waiting", {}).get("reason") if statuses else None

    kubectl.apply(stateful_set("web", image=f"any:{Mode.CRASHING}"))

    kubectl.wait_for("pod", "web-0", lambda pod: waits_in(pod) == "CrashLoopBackOff")


def test_a_deleted_pod_goes_and_is_made_anew(kubectl: Kubectl) -> None:
    kubectl.apply(stateful_set("web"))
    first = kubectl.wait_for_ready("pod", "web-0")

    kubectl.delete("pod", "web-0")

    again = kubectl.wait_for("pod", "web-0", ready)
    assert first["metadata"]["uid"] != again["metadata"]["uid"]


def test_a_fake_node_can_fail_and_return(control_plane: ControlPlane) -> None:
    nodes = control_plane.kubectl
    (name,) = control_plane.add_fake_nodes(1, prefix="failing-")

    nodes.annotate("node", name, {"test-cluster/node": "down"})
    nodes.wait_for("node", name, lambda node: condition(node, "Ready") == "False")
    nodes.annotate("node", name, {"test-cluster/node": None})

    nodes.wait_for_ready("node", name)
    nodes.delete("node", name)


def test_who_listens_on_all_addresses_answers_for_every_fake_pod(kubectl: Kubectl) -> None:
    kubectl.apply(stateful_set("web"))
    address = kubectl.wait_for_ready("pod", "web-0")["status"]["podIP"]

    with socket.create_server(("0.0.0.0", 0)) as stub:  # noqa: S104 - that is the point
        client = socket.create_connection((address, stub.getsockname()[1]), timeout=5)
        server, _ = stub.accept()

        assert server.getsockname()[0] == address
        client.close()
        server.close()


def test_the_api_refuses_fields_that_it_does_not_know(kubectl: Kubectl) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dada": {}}

    with pytest.raises(CommandFailed, match="dada"):
        kubectl.apply(manifest)


@pytest.mark.parametrize("kill", [False, True])
def test_objects_survive_the_end_of_the_api_server(
    control_plane: ControlPlane, kubectl: Kubectl, *, kill: bool
) -> None:
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}})

    control_plane.restart_apiserver(kill=kill)

    assert kubectl.get("configmap", "kept") is not None
