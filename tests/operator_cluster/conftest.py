# SPDX-License-Identifier: Apache-2.0
"""A real API server, a real Redis and the real operator as a process; only sidecars are stubs."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from cluster.api import Api, Refused
from cluster.control_plane import ControlPlane
from cluster.fixtures import fresh_control_plane
from cluster.kubectl import Kubectl
from cluster.paths import REPOSITORY
from operator_cluster.operator_process import MakeOperator, Operator
from operator_cluster.redis_process import RedisServer, running_redis
from operator_cluster.sidecar_stub import SidecarStub


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Return a control plane of these tests' own: they count its writes and its nodes."""
    with fresh_control_plane("test-operator") as plane:
        yield plane


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """Return a control plane with our CRDs and two fake Linux nodes."""
    control_plane.kubectl.apply_file(REPOSITORY / "crds")
    for crd in ("mt5accounts", "mt5brokers"):
        control_plane.kubectl("wait", "--for=condition=Established", f"crd/{crd}.mt5bridge.io")
    control_plane.add_fake_nodes(2)
    return control_plane


@pytest.fixture(autouse=True)
def released(plane: ControlPlane, kubectl: Kubectl) -> Iterator[None]:
    """Let go of what a stopped operator left: its namespace would hang in Terminating for ever."""
    yield
    metas = [item["metadata"] for item in kubectl.list("mt5accounts")]
    api = Api(kubectl.kubeconfig, timeout_s=60)
    for meta in metas:  # of one test there are 200, for which kubectl needs most of a minute
        if meta.get("finalizers"):
            _let_go(api, meta)


def _let_go(api: Api, meta: dict[str, Any]) -> None:
    place = f"/apis/mt5bridge.io/v1alpha1/namespaces/{meta['namespace']}/mt5accounts"
    try:
        api.ask("PATCH", f"{place}/{meta['name']}", {"metadata": {"finalizers": None}})
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:  # it went meanwhile
            raise


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Return a running Redis of this test's own."""
    with running_redis() as server:
        yield server


@pytest.fixture
def sidecars() -> Iterator[SidecarStub]:
    """Return what answers for the sidecars of fake pods: connected, until told otherwise."""
    stub = SidecarStub()
    stub.start()
    yield stub
    stub.stop()


@pytest.fixture
def make_operator(
    plane: ControlPlane, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub
) -> Iterator[MakeOperator]:
    """Return what makes operators that serve the test's namespace only."""
    made: list[Operator] = []

    def make(kubeconfig: Path | None = None, /, **settings: Any) -> Operator:
        given = {"redis_url": redis.url, "sidecar": sidecars.address, **settings}
        made.append(Operator(kubeconfig or plane.kubeconfig, kubectl.namespace, **given))
        return made[-1]

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def operator(make_operator: MakeOperator) -> Operator:
    """Return an operator that serves the test's namespace only; it is not started yet."""
    return make_operator()
