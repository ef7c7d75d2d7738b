# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/operations.md, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import NAMESPACE
from cluster import packages
from cluster.binaries import binary
from cluster.control_plane import ControlPlane
from cluster.fixtures import fresh_control_plane
from cluster.paths import REPOSITORY

pytestmark = pytest.mark.cluster

PAGE = REPOSITORY / "docs" / "operations.md"
VALUES = {"crds": {"install": False}, "capacity": {"priorityClasses": {"create": False}}}
DESK = "saved-desk"
PASSWORD = "c2VjcmV0"
"""As a Secret has it."""
ACCOUNT = {
    "apiVersion": "mt5bridge.io/v1alpha1",
    "kind": "MT5Account",
    "metadata": {
        "name": "saved",
        "namespace": DESK,
        "labels": {"team": "desk"},
        "finalizers": ["mt5bridge.io/route"],
    },
    "spec": {
        "login": 10001,
        "server": "Simulator-Demo",
        "credentialsSecretRef": {"name": "saved-mt5", "key": "password"},
        "trading": {"enabled": True},
    },
}
BROKER = {
    "apiVersion": "mt5bridge.io/v1alpha1",
    "kind": "MT5Broker",
    "metadata": {"name": "saved"},
    "spec": {"servers": ["Saved-*"], "platform": "Windows"},
}


def secret(namespace: str, name: str, key: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {key: PASSWORD}}


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    """Return a control plane of this test's own: what others leave would be saved with it."""
    with fresh_control_plane("test-saved") as plane:
        yield plane


class Place:
    """A shell before the cluster, in an empty folder."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.folder = folder
        programs = f"{binary('kubectl').parent}:{binary('helm').parent}"
        self.env = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "KUBECONFIG": str(plane.kubeconfig),
            "NS": NAMESPACE,
            "RELEASE": "saved",
            "SAVE": "tr a-z n-za-m",
            "OPEN": "tr a-z n-za-m",
        }
        (folder / "charts").symlink_to(REPOSITORY / "charts")

    def run(self, script: str) -> str:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.env,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def see(self, words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(f"kubectl get {words} -o json"))
        return found


def test_what_was_saved_comes_back_without_what_belonged_to_the_cluster_of_before(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    packages.ensure({"jq": "jq"})
    save, restore = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    here = Place(control_plane, tmp_path)
    control_plane.kubectl.apply_file(REPOSITORY / "crds")
    for name in ("mt5accounts", "mt5brokers"):
        here.run(f"kubectl wait --for=condition=Established crd/{name}.mt5bridge.io")
    here.run(f"kubectl create namespace {DESK}")
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(VALUES))
    here.run(
        f"helm install saved charts/mt5-bridge -n {NAMESPACE} --create-namespace -f given.yaml"
    )
    objects = [
        secret(DESK, "saved-mt5", "password"),
        secret(NAMESPACE, "mt5-bridge-api-keys", "first"),
        ACCOUNT,
        BROKER,
    ]
    given = {"apiVersion": "v1", "kind": "List", "items": objects}
    (tmp_path / "given.json").write_text(json.dumps(given))
    here.run("kubectl apply --server-side -f given.json && rm given.json")
    try:
        here.run(save)
        assert PASSWORD not in (tmp_path / "accounts.json").read_text()
        assert PASSWORD not in (tmp_path / "secrets.json.saved").read_text()

        _remove(here)
        # No node is there to wait for.
        here.run(restore.replace(" --wait", ""))

        account = here.see(f"mt5account/saved -n {DESK}")
        assert ACCOUNT["spec"].items() <= account["spec"].items()  # type: ignore[attr-defined]
        assert account["metadata"]["labels"] == {"team": "desk"}
        assert "finalizers" not in account["metadata"]
        assert here.see("mt5broker/saved")["spec"]["platform"] == "Windows"
        assert here.see(f"secret/saved-mt5 -n {DESK}")["data"] == {"password": PASSWORD}
        keys = here.see(f"secret/mt5-bridge-api-keys -n {NAMESPACE}")["data"]
        assert keys == {"first": PASSWORD}
        values = yaml.safe_load(here.run(f"helm get values saved -n {NAMESPACE} -o yaml"))
        assert values == VALUES
        assert not (tmp_path / "secrets.json").exists()
    finally:
        _remove(here)


def _remove(here: Place) -> None:
    here.run(
        f"""
        kubectl patch mt5account saved -n {DESK} --type merge \\
          -p '{{"metadata":{{"finalizers":null}}}}' || true
        kubectl delete --ignore-not-found mt5broker/saved
        kubectl delete --ignore-not-found -n {NAMESPACE} secret/mt5-bridge-api-keys
        kubectl delete --ignore-not-found namespace {DESK} --timeout=120s
        helm uninstall saved -n {NAMESPACE} --ignore-not-found
        """
    )
