# SPDX-License-Identifier: Apache-2.0
"""The operator with no more rights than the chart gives it, and a tenant that leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chart.rendering import CHART, helm
from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, await_reason, secret
from operator_cluster.operator_process import MakeOperator, Operator, eventually
from operator_cluster.redis_process import RedisServer

pytestmark = pytest.mark.cluster


@pytest.fixture
def tenant(plane: ControlPlane, kubectl: Kubectl) -> Iterator[Kubectl]:
    """Return another namespace that is served."""
    place = plane.kubectl.within(f"{kubectl.namespace[:50]}-tenant")
    place("create", "namespace", place.namespace)
    yield place
    place("delete", "namespace", place.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture
def entitled(plane: ControlPlane, kubectl: Kubectl, tenant: Kubectl, tmp_path: Path) -> Path:
    """Return a kubeconfig with the rights of the chart's operator, in two namespaces."""
    served = ",".join((kubectl.namespace, tenant.namespace))
    values = (f"operator.namespaces={{{served}}}", "fullnameOverride=bridge")
    words = ("--namespace", kubectl.namespace, "--set", values[0], "--set", values[1])
    rights = helm("template", "demo", CHART, *words, "--show-only", "templates/rbac/operator.yaml")
    for right in filter(None, yaml.safe_load_all(rights)):
        plane.kubectl.within(right["metadata"].get("namespace", "default")).apply(right)
    config = yaml.safe_load(plane.kubeconfig.read_text())
    token = kubectl("create", "token", "bridge-operator").strip()
    config["users"][0]["user"] = {"token": token}
    file = tmp_path / "entitled"
    file.write_text(yaml.safe_dump(config))
    return file


def test_a_tenant_that_leaves_keeps_nobody_from_being_audited_and_led(
    entitled: Path,
    kubectl: Kubectl,
    tenant: Kubectl,
    make_operator: MakeOperator,
    redis: RedisServer,
) -> None:
    def operator(name: str) -> Operator:
        both = json.dumps([tenant.namespace, kubectl.namespace])
        return make_operator(entitled, name=name, namespaces=both, broker_dry_run="true")

    first = operator("operator-0")
    first.lead()
    for place, login in ((kubectl, 1), (tenant, 2)):
        place.apply(secret(), account(login=login))
        await_reason(place, "Connected")

    tenant.delete("mt5account", "demo")
    tenant("delete", "namespace", tenant.namespace, timeout_s=60)
    eventually(lambda: set(redis.routes()) == {"1"}, timeout_s=30)
    audits = first.metric("mt5_operator_api_requests_total", verb="GET", kind="Namespace")
    eventually(
        lambda: (
            first.metric("mt5_operator_api_requests_total", verb="GET", kind="Namespace")
            >= audits + 10
        ),
        timeout_s=30,
    )
    assert "watches not audited" not in first.log.read_text()
    first.stop()

    # Who starts now never saw the namespace, and asks for it again and again.
    second = operator("operator-1")
    second.lead()
    kubectl.apply(account("next", login=3))
    await_reason(kubectl, "Connected", "next")
    assert "APIForbiddenError" not in second.log.read_text()
    assert second.exit_code() is None
