# SPDX-License-Identifier: Apache-2.0
"""The rendered chart before a real API server."""

from __future__ import annotations

import base64
import json
import re

import pytest
import yaml

from chart.rendering import CHART, NAMES, NAMESPACE, VALUES, helm, rendered
from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed

pytestmark = pytest.mark.cluster

PROMETHEUS = "monitoring.coreos.com/v1"


@pytest.fixture(scope="module")
def namespaces(control_plane: ControlPlane) -> ControlPlane:
    """Return the control plane with the chart's namespaces, which enforce `restricted`."""
    for name in (NAMESPACE, "traders", "prop"):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": labels}
        control_plane.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return control_plane


@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_accepts_every_object(namespaces: ControlPlane, name: str) -> None:
    manifests = [m for m in rendered(name) if m["apiVersion"] != PROMETHEUS]

    # kubectl takes no object of another namespace than the one it is told.
    for space in {m["metadata"].get("namespace", "") for m in manifests}:
        mine = [m for m in manifests if m["metadata"].get("namespace", "") == space]
        answer = namespaces.kubectl.within(space or "default")(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-",
            stdin=yaml.safe_dump_all(mine),
        )  # fmt: skip
        assert len(answer.splitlines()) == len(mine)
        assert "Warning" not in answer


@pytest.mark.parametrize("name", ["default", "windows"])
def test_every_pod_is_admitted_to_a_restricted_namespace(
    namespaces: ControlPlane, name: str
) -> None:
    for manifest in rendered(name):
        if "template" not in manifest.get("spec", {}):
            continue
        pod = {"apiVersion": "v1", "kind": "Pod"} | manifest["spec"]["template"]
        pod["metadata"] |= {"name": "probe", "namespace": NAMESPACE}
        pod["spec"] = dict(pod["spec"])
        pod["spec"].pop("serviceAccountName", None)

        words = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
        assert "created" in namespaces.kubectl.within(NAMESPACE)(*words, stdin=json.dumps(pod))


def test_an_upgrade_keeps_the_password_and_the_keys(namespaces: ControlPlane) -> None:
    kubectl = namespaces.kubectl
    words = ("--namespace", NAMESPACE, "--kubeconfig", namespaces.kubeconfig)
    keys = {"first": '{"sha256": "00"}'}

    helm("install", "demo", CHART, *words, "--values", VALUES / "default.yaml")
    try:
        before = _secret(namespaces, "demo-redis")
        kubectl.within(NAMESPACE)(
            "create", "secret", "generic", "mt5-bridge-api-keys",
            f"--from-literal=first={keys['first']}",
        )  # fmt: skip
        helm("upgrade", "demo", CHART, *words, "--set", "router.replicas=3")

        with pytest.raises(CommandFailed, match="one installation per namespace"):
            helm("install", "second", CHART, *words, "--set", "crds.install=false")

        assert _secret(namespaces, "demo-redis") == before
        assert _secret(namespaces, "mt5-bridge-api-keys") == keys
    finally:
        helm("uninstall", "demo", *words, "--wait")

    assert "mt5accounts.mt5bridge.io" in kubectl("get", "crd", "-o", "name")
    assert _secret(namespaces, "mt5-bridge-api-keys") == keys


def _secret(plane: ControlPlane, name: str) -> dict[str, str]:
    text = plane.kubectl("get", "secret", name, "--namespace", NAMESPACE, "-o", "json")
    data = json.loads(text)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_the_notes_name_what_is_there_and_a_namespace_that_is_served(
    namespaces: ControlPlane,
) -> None:
    # The CRDs may be here already, of another test's release.
    flags = "operator.shards=2,operator.namespaces={traders,prop},crds.install=false"
    values = ("--set", flags)
    place = ("--namespace", NAMESPACE, "--kubeconfig", namespaces.kubeconfig)

    told = helm("install", "notes", CHART, "--dry-run=client", *place, *values)

    manifests, _, notes = told.partition("NOTES:")
    named = set(re.findall(r"deployment/(\S+)", notes))
    assert named == {"notes-operator-0", "notes-router"}
    assert all(f"  name: {name}\n" in manifests for name in named)
    assert notes.count("kubectl -n traders ") == 3
