# SPDX-License-Identifier: Apache-2.0
"""The API server at its worst: watches lost, 410 Gone, 429, 5xx, slow, and our CRD taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from cluster.paths import REPOSITORY
from operator_cluster.api_proxy import ApiProxy
from operator_cluster.manifests import account, await_reason, reason, secret
from operator_cluster.operator_process import MakeOperator, Operator, eventually
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub

pytestmark = pytest.mark.cluster


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[ApiProxy]:
    """Return what stands between the operator and the API server."""
    found = ApiProxy(plane.kubeconfig, tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def proxied(proxy: ApiProxy, kubectl: Kubectl, make_operator: MakeOperator) -> Operator:
    """Return an operator behind the proxy that leads, with one account that is connected."""
    process = make_operator(proxy.kubeconfig)
    process.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    return process


@pytest.mark.parametrize("gone", [False, True], ids=["cut off", "410 Gone"])
def test_what_changed_while_watches_were_lost_is_found(
    proxy: ApiProxy,
    proxied: Operator,
    kubectl: Kubectl,
    redis: RedisServer,
    gone: bool,  # noqa: FBT001 - a table
) -> None:
    proxy.end_watches(gone=gone)
    kubectl.apply(account("next", login=2))
    kubectl.delete("mt5account", "demo", wait=False)
    proxy.end_watches(gone=gone)

    eventually(lambda: reason(kubectl, "next") == "Connected", timeout_s=30)
    eventually(lambda: set(redis.routes()) == {"2"}, timeout_s=30)
    assert proxied.exit_code() is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_server_that_refuses_is_waited_for_and_nothing_is_lost(
    proxy: ApiProxy, proxied: Operator, kubectl: Kubectl, redis: RedisServer, status: int
) -> None:
    before = redis.routes()
    proxy.answer_with, proxy.only_writes = status, True
    kubectl.apply(account("next", login=2))
    # Refused again and again, and not as fast as it can ask.
    eventually(lambda: proxy.refused >= 4, timeout_s=30)
    assert redis.routes().items() >= before.items()

    proxy.answer_with = 0

    eventually(lambda: reason(kubectl, "next") == "Connected", timeout_s=60)
    assert proxied.exit_code() is None
    assert proxied.leads()


def test_a_slow_api_server_is_only_slow(
    proxy: ApiProxy, proxied: Operator, kubectl: Kubectl
) -> None:
    proxy.delay_s = 1.0

    kubectl.apply(*(account(f"a{n}", login=n + 2) for n in range(5)))

    for number in range(5):
        eventually(lambda n=number: reason(kubectl, f"a{n}") == "Connected", timeout_s=60)  # type: ignore[misc]
    assert proxied.exit_code() is None


@pytest.fixture
def neighbours(plane: ControlPlane, kubectl: Kubectl) -> Iterator[Kubectl]:
    """Return the namespace of another tenant."""
    place = plane.kubectl.within(f"{kubectl.namespace[:50]}-other")
    place("create", "namespace", place.namespace)
    yield place
    place("delete", "namespace", place.namespace, "--wait=false")


def test_writes_that_get_no_answer_in_one_namespace_keep_no_other_waiting(
    proxy: ApiProxy, make_operator: MakeOperator, kubectl: Kubectl, neighbours: Kubectl
) -> None:
    proxy.hangs = f"/namespaces/{neighbours.namespace}/"
    both = json.dumps([kubectl.namespace, neighbours.namespace])
    make_operator(proxy.kubeconfig, namespaces=both, workers=4).lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    neighbours.apply(*(account(f"a{n}", login=n + 100) for n in range(30)))
    eventually(lambda: proxy.hung >= 4, timeout_s=30)
    for number in range(3):
        kubectl.apply(account(f"next{number}", login=number + 2))
        await_reason(kubectl, "Connected", f"next{number}")


def test_a_crd_that_is_deleted_and_restored_is_served_again(
    plane: ControlPlane,
    kubectl: Kubectl,
    redis: RedisServer,
    sidecars: SidecarStub,
    operator: Operator,
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    # The operator lets go of the accounts: the deletion ends.
    plane.kubectl("delete", "crd", "mt5accounts.mt5bridge.io", "--timeout=60s", timeout_s=70)
    eventually(lambda: redis.routes() == {}, timeout_s=30)
    plane.kubectl.apply_file(REPOSITORY / "crds" / "mt5accounts.yaml")
    plane.kubectl("wait", "--for=condition=Established", "crd/mt5accounts.mt5bridge.io")
    kubectl.apply(account("again", login=3))

    def serves() -> bool:
        operator.revive()  # it ends when it notices that the CRD was away
        return operator.leads() and reason(kubectl, "again") == "Connected"

    eventually(serves, timeout_s=90)
    assert json.dumps(redis.routes()).count("address") == 1


@pytest.fixture
def crd_before(plane: ControlPlane) -> Iterator[None]:
    """Have the CRD of accounts be one that knows less than this operator."""
    file = REPOSITORY / "crds" / "mt5accounts.yaml"
    crd = yaml.safe_load(file.read_text())
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del fields["status"]["properties"]["idHeld"]
    plane.kubectl.apply(crd)
    eventually(lambda: "idHeld" not in _explained(plane), timeout_s=30)
    yield
    plane.kubectl.apply_file(file)
    eventually(lambda: "idHeld" in _explained(plane), timeout_s=30)


def _explained(plane: ControlPlane) -> str:
    return plane.kubectl("get", "--raw", "/openapi/v3/apis/mt5bridge.io/v1alpha1")


def test_a_crd_of_an_earlier_version_is_told_of_and_nobody_leads_by_it(
    plane: ControlPlane, crd_before: None, kubectl: Kubectl, operator: Operator
) -> None:
    operator.start(wait=False)
    eventually(lambda: "status.idHeld" in operator.last_words(), timeout_s=20)
    assert operator.answers("/healthz") == 200
    assert operator.answers("/readyz") == 503  # a rollout keeps the operator of before

    plane.kubectl.apply_file(REPOSITORY / "crds" / "mt5accounts.yaml")

    eventually(operator.leads, timeout_s=30)
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
