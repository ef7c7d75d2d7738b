# SPDX-License-Identifier: Apache-2.0
"""pytest fixtures; `pytest_plugins = ["cluster.fixtures"]` in a conftest brings them in.

control_plane   ControlPlane with KWOK, one per session: seconds to start
kubectl         Kubectl on it, within a namespace of its own for each test
namespace       that namespace's name
node_cluster    a cluster with a real node, one per session (root; see `CLUSTER` in the docs)
node_kubectl    Kubectl on that, within a namespace of its own for each test
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster import state
from cluster.backends import Cluster, node_backend
from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from cluster.local import LocalCluster


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Return a running Kubernetes API with fake nodes' KWOK; there are no nodes yet."""
    with fresh_control_plane("test") as plane:
        yield plane


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    """Return the name of a namespace that only this test uses, on `control_plane`."""
    return kubectl.namespace


@pytest.fixture
def kubectl(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """Return kubectl on `control_plane`, within a namespace that only this test uses."""
    with _own_namespace(control_plane.kubectl, request.node.name) as within:
        yield within


@pytest.fixture(scope="session")
def node_cluster() -> Iterator[Cluster]:
    """Return a cluster that runs pods: our own, or what the variable `CLUSTER` says."""
    with _ending_with_us(f"test-node-{os.getpid()}") as place:
        cluster = node_backend(os.environ.get("CLUSTER", ""), place)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def node_kubectl(node_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """Return kubectl on `node_cluster`, within a namespace that only this test uses."""
    with _own_namespace(node_cluster.kubectl, request.node.name) as within:
        yield within


@contextmanager
def fresh_control_plane(name: str) -> Iterator[ControlPlane]:
    """Start a control plane that ends with this block, and with this process at the latest.

    For tests that count what happens on it, or that other tests' nodes would disturb.
    """
    with _ending_with_us(f"{name}-{os.getpid()}") as place:
        plane = ControlPlane(place)
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()


@contextmanager
def _ending_with_us(name: str) -> Iterator[Path]:
    for place in state.orphans():
        LocalCluster(place).stop()
    state.forget_old_logs()
    place = state.directory(name)
    state.own(place)
    yield place


@contextmanager
def _own_namespace(kubectl: Kubectl, test: str) -> Iterator[Kubectl]:
    readable = re.sub("[^a-z0-9]+", "-", test.lower())[:40].strip("-")
    name = f"{readable}-{uuid.uuid4().hex[:6]}"
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield kubectl.within(name)
    finally:
        kubectl.delete("namespace", name, wait=False)
