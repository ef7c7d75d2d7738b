# SPDX-License-Identifier: Apache-2.0
"""From apply to delete, and what lies between."""

from __future__ import annotations

import json

import jwt
import pytest

from cluster.kubectl import Kubectl
from operator_cluster import sidecar_stub
from operator_cluster.manifests import account, await_reason, condition, reason, secret
from operator_cluster.operator_process import Operator, eventually, steady
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub

pytestmark = pytest.mark.cluster


def test_an_applied_account_becomes_ready_and_is_routed(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())

    await_reason(kubectl, "Connected")

    pod = kubectl.get("pod", "demo-a-0")
    assert pod is not None
    address = f"{pod['status']['podIP']}:8080"
    assert redis.routes()["10001"]["address"] == address
    assert redis.client.get("account:10001:container") == address
    found = kubectl.get("mt5account", "demo")
    assert found is not None
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert condition(found, "Connected")["status"] == "True"
    assert condition(found, "CredentialsValid")["status"] == "True"
    assert condition(found, "RouteReady")["status"] == "True"
    assert not condition(found, "Reconciling")
    assert not condition(found, "Stalled")
    # The shards follow with the next flush.
    eventually(lambda: _addresses_in_shards(kubectl) == [address])


def _addresses_in_shards(kubectl: Kubectl) -> list[str]:
    shards = [kubectl.get("configmap", f"mt5-routes-{n}") for n in range(4)]
    tables = [json.loads(shard["data"]["routes.json"])["routes"] for shard in shards if shard]
    return [table["10001"]["address"] for table in tables if "10001" in table]


def test_the_pod_of_an_account_is_admitted_by_restricted_pod_security(
    operator: Operator, kubectl: Kubectl
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, label)
    operator.lead()

    kubectl.apply(secret(), account(), account("real", login=5, server="Broker-Demo"))

    await_reason(kubectl, "Connected")
    await_reason(kubectl, "Connected", "real")


def test_sidecars_can_verify_the_operator_by_the_published_key(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    access = kubectl.get("configmap", "mt5-bridge-access")
    pod = kubectl.get("pod", "demo-a-0")

    assert access is not None
    assert pod is not None
    uid = pod["metadata"]["uid"]
    (key,) = jwt.PyJWKSet.from_json(access["data"]["operator.jwks.json"]).keys
    claims = jwt.decode(
        sidecars.tokens[uid], key, algorithms=["EdDSA"], audience=uid, issuer="mt5-bridge-operator"
    )
    assert claims["exp"] - claims["iat"] <= 60


def test_a_new_account_costs_at_most_eight_writes(operator: Operator, kubectl: Kubectl) -> None:
    operator.lead()
    kubectl.apply(secret(), account("first", login=1))
    await_reason(kubectl, "Connected", "first")
    eventually(lambda: steady(operator.writes, for_s=2), timeout_s=30)
    before = operator.writes()

    kubectl.apply(account())
    await_reason(kubectl, "Connected")
    eventually(lambda: steady(operator.writes, for_s=2), timeout_s=30)

    assert operator.writes() - before <= 8, operator.writes_by_kind()


def test_applying_the_same_file_again_writes_nothing(operator: Operator, kubectl: Kubectl) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    eventually(lambda: steady(operator.writes, for_s=2), timeout_s=30)
    before, writes = kubectl.get("mt5account", "demo"), operator.writes()

    kubectl.apply(account())

    assert steady(operator.writes, for_s=2)
    after = kubectl.get("mt5account", "demo")
    assert before is not None
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert operator.writes() == writes


def test_a_stateful_set_edited_by_hand_is_repaired(operator: Operator, kubectl: Kubectl) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    kubectl("set", "image", "statefulset/demo-a", "terminal=evil:latest")
    kubectl("scale", "statefulset/demo-a", "--replicas=0")

    def repaired() -> bool:
        found = kubectl.get("statefulset", "demo-a")
        spec = found["spec"] if found else {}
        image = spec["template"]["spec"]["containers"][0]["image"]
        return bool(spec["replicas"] == 1 and image == "mt5-bridge/sidecar:dev")

    eventually(repaired)
    await_reason(kubectl, "Connected")


def test_owned_objects_that_are_deleted_come_back(operator: Operator, kubectl: Kubectl) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    kubectl.delete("configmap", "demo-account", "mt5-bridge-access")
    kubectl.delete("statefulset", "demo-a")

    eventually(lambda: kubectl.get("configmap", "demo-account"))
    eventually(lambda: kubectl.get("configmap", "mt5-bridge-access"))
    eventually(lambda: kubectl.get("pod", "demo-a-0"))
    await_reason(kubectl, "Connected")


def test_a_suspended_account_has_no_pod_and_a_route_that_says_why(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    kubectl.patch("mt5account", "demo", {"spec": {"suspend": True}})

    await_reason(kubectl, "Suspended")
    eventually(lambda: kubectl.get("pod", "demo-a-0") is None)
    assert redis.routes()["10001"]["address"] == ""
    assert redis.routes()["10001"]["reason"] == "Suspended"
    assert redis.client.get("account:10001:container") is None

    kubectl.patch("mt5account", "demo", {"spec": {"suspend": False}})
    await_reason(kubectl, "Connected")


def test_what_may_change_changes_without_a_new_pod(operator: Operator, kubectl: Kubectl) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    before = kubectl.get("pod", "demo-a-0")
    # Kubernetes tells times of changes in whole seconds.
    eventually(lambda: steady(operator.writes, for_s=1.2))

    kubectl.patch("mt5account", "demo", {"spec": {"trading": {"enabled": True, "maxVolume": 0.5}}})

    def refreshed() -> bool:
        pod = kubectl.get("pod", "demo-a-0") or {"metadata": {}}
        return "mt5bridge.io/files-version" in pod["metadata"].get("annotations", {})

    eventually(refreshed)
    after, files = kubectl.get("pod", "demo-a-0"), kubectl.get("configmap", "demo-account")
    assert before is not None
    assert after is not None
    assert files is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    trading = json.loads(files["data"]["account.json"])["trading"]
    assert trading == {
        "enabled": True,
        "max_volume": "0.5",
        "symbols": None,
        "orders_per_minute": None,
    }


def test_a_deleted_account_leaves_nothing(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    kubectl.delete("mt5account", "demo", timeout_s=10)

    assert redis.routes() == {}
    assert redis.client.get("account:10001:container") is None
    eventually(lambda: kubectl.get("configmap", "mt5-bridge-access") is None)
    # The garbage collector learns of a new CRD, such as this session's, within 30 s.
    eventually(lambda: kubectl.get("pod", "demo-a-0") is None, timeout_s=45)
    eventually(lambda: kubectl.get("configmap", "demo-account") is None)


def test_events_tell_each_transition_once(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    sidecars.says = sidecar_stub.SECRET_MISSING
    operator.lead()
    kubectl.apply(account())
    await_reason(kubectl, "SecretMissing")
    kubectl.apply(secret())
    sidecars.says = sidecar_stub.CONNECTED
    await_reason(kubectl, "Connected")

    events = kubectl.list("events.events.k8s.io")

    ours = [e["reason"] for e in events if e.get("regarding", {}).get("kind") == "MT5Account"]
    assert sorted(ours) == ["Connected", "SecretMissing"]
    assert reason(kubectl) == "Connected"
