# SPDX-License-Identifier: Apache-2.0
"""Each trouble is told within 10 s, and is over within 10 s of its cause, the object untouched."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
import yaml

from cluster.api import Api
from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from cluster.waiting import wait_for
from mt5_operator.names import FINALIZER
from operator_cluster import sidecar_stub
from operator_cluster.manifests import account, await_reason, condition, reason, secret
from operator_cluster.operator_process import MakeOperator, Operator, eventually
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub

pytestmark = pytest.mark.cluster


def test_a_missing_secret_is_named_and_healed(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    sidecars.says = sidecar_stub.SECRET_MISSING
    operator.lead()
    kubectl.apply(account())

    told = await_reason(kubectl, "SecretMissing")

    assert "Secret password does not exist" in told["message"]
    assert condition(kubectl.get("mt5account", "demo"), "Stalled")["status"] == "True"
    kubectl.apply(secret())
    sidecars.says = sidecar_stub.CONNECTED
    await_reason(kubectl, "Connected")


@pytest.mark.parametrize(
    ("values", "words"),
    [({"pasword": "x"}, "has no key 'password': add it"), ({"password": ""}, "is empty")],
    ids=["other key", "empty"],
)
def test_a_secret_without_a_password_says_what_to_add(
    operator: Operator,
    kubectl: Kubectl,
    sidecars: SidecarStub,
    values: dict[str, str],
    words: str,
) -> None:
    sidecars.says = sidecar_stub.SECRET_MISSING
    operator.lead()
    kubectl.apply(secret(**values), account())

    told = await_reason(kubectl, "SecretMissing")

    assert words in told["message"]
    assert "pasword" not in told["message"]
    kubectl.apply(secret())
    sidecars.says = sidecar_stub.CONNECTED
    await_reason(kubectl, "Connected")


def test_a_wrong_password_is_told_and_a_new_one_is_hurried_to_the_pod(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub, redis: RedisServer
) -> None:
    sidecars.says = sidecar_stub.BAD_CREDENTIALS
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "BadCredentials")
    assert redis.routes()["10001"]["reason"] == "BadCredentials"
    first = _credentials_version(kubectl)

    kubectl.apply(secret(password="another"))
    eventually(lambda: _credentials_version(kubectl) not in ("", first))

    sidecars.says = sidecar_stub.CONNECTED
    await_reason(kubectl, "Connected")
    found = kubectl.get("secret", "password")
    assert found is not None
    assert _credentials_version(kubectl) == found["metadata"]["resourceVersion"]
    assert base64.b64decode(found["data"]["password"]).decode() not in operator.log.read_text()


def test_a_secret_lost_under_a_connected_account_is_told_though_no_resync_reads_any(
    make_operator: MakeOperator, kubectl: Kubectl
) -> None:
    make_operator(secret_reread_s=4, resync_s=3600).lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    kubectl("delete", "secret", "password")
    eventually(lambda: reason(kubectl, kind="CredentialsValid") == "SecretMissing")

    assert reason(kubectl) == "Connected"  # a lost Secret ends no login
    kubectl.apply(secret())
    eventually(lambda: reason(kubectl, kind="CredentialsValid") != "SecretMissing")


def _credentials_version(kubectl: Kubectl) -> str:
    pod = kubectl.get("pod", "demo-a-0") or {"metadata": {}}
    annotations = pod["metadata"].get("annotations", {})
    return str(annotations.get("mt5bridge.io/credentials-version", ""))


def test_a_pod_that_a_quota_refuses_is_told_and_healed(
    make_operator: MakeOperator, kubectl: Kubectl
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    kubectl.apply(quota | {"spec": {"hard": {"pods": "0"}}})
    counted = "{.status.hard.pods}"
    eventually(lambda: kubectl("get", "quota", "none", f"-ojsonpath={counted}") == "0")
    make_operator(stuck_pod_s=3).lead()
    kubectl.apply(secret(), account())

    told = await_reason(kubectl, "WorkloadRefused")

    assert "kubectl describe statefulset demo-a" in told["message"]
    assert "exceeded quota" in kubectl("describe", "statefulset", "demo-a")
    assert condition(kubectl.get("mt5account", "demo"), "Stalled")["status"] == "True"
    kubectl("delete", "quota", "none")
    # Its controller tries again ever more seldom.
    eventually(lambda: reason(kubectl) == "Connected", timeout_s=60)


def test_a_quota_on_revisions_is_told_and_healed(
    make_operator: MakeOperator, kubectl: Kubectl
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    kubectl.apply(quota | {"spec": {"hard": {"count/controllerrevisions.apps": "0"}}})
    counted = "{.status.hard}"
    eventually(lambda: "revisions" in kubectl("get", "quota", "none", f"-ojsonpath={counted}"))
    make_operator(stuck_pod_s=1).lead()
    kubectl.apply(secret(), account())

    # Its controller would tell nobody, not even in an Event: it is told that nothing happens.
    words = "count/controllerrevisions.apps"
    eventually(lambda: words in await_reason(kubectl, "PodStarting")["message"], timeout_s=60)
    kubectl("delete", "quota", "none")
    # Its controller tries again ever more seldom.
    eventually(lambda: reason(kubectl) == "Connected", timeout_s=60)


def test_an_unknown_server_is_told_and_healed(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    sidecars.says = sidecar_stub.SERVER_UNKNOWN
    operator.lead()
    kubectl.apply(secret(), account())

    told = await_reason(kubectl, "ServerUnknown")

    assert told["message"] == "no such server"
    sidecars.says = sidecar_stub.CONNECTED
    await_reason(kubectl, "Connected")


def test_a_word_that_nobody_listed_is_shown_as_it_is(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    sidecars.says = {"state": "Refused", "reason": "MoonPhase", "message": "full"}
    operator.lead()
    kubectl.apply(secret(), account())

    told = await_reason(kubectl, "Unknown")

    assert told["message"] == "the sidecar says 'MoonPhase': full"


def test_of_two_accounts_with_one_id_the_older_wins_until_it_goes(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account("older"))
    await_reason(kubectl, "Connected", "older")

    kubectl.apply(account("younger"))

    told = await_reason(kubectl, "AccountIdConflict", "younger")
    assert "belongs to MT5Account older" in told["message"]
    assert kubectl.get("pod", "younger-a-0") is None
    assert reason(kubectl, "older") == "Connected"
    kubectl.delete("mt5account", "older")
    await_reason(kubectl, "Connected", "younger")
    younger = kubectl.get("pod", "younger-a-0")
    assert younger is not None
    assert redis.routes()["10001"]["uid"] == younger["metadata"]["uid"]


def test_of_two_accounts_of_one_second_the_one_that_has_the_id_keeps_it(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret())
    first, rivals = _tie(kubectl)
    await_reason(kubectl, "Connected", first)

    for rival in rivals:  # each of the same second, and its uid before the first one's
        told = await_reason(kubectl, "AccountIdConflict", rival)
        assert f"belongs to MT5Account {first}" in told["message"]

    pod = kubectl.get("pod", f"{first}-a-0")
    assert pod is not None
    assert redis.routes()["10001"]["uid"] == pod["metadata"]["uid"]
    assert reason(kubectl, first) == "Connected"
    assert [item["metadata"]["name"] for item in kubectl.list("statefulset")] == [f"{first}-a"]
    held = [m for m in map(_meta, kubectl.list("mt5account")) if m.get("finalizers")]
    assert [meta["name"] for meta in held] == [first]


def _tie(kubectl: Kubectl) -> tuple[str, list[str]]:
    """Create an account that takes its id, and rivals that age and uid put before it."""
    for number in range(30):
        first, metas = f"first-{number}", _of_one_second(kubectl, number)
        taken_by = metas.pop(first)
        fit = [name for name, meta in metas.items() if meta["uid"] < taken_by["uid"]]
        if fit:
            return first, fit
        kubectl.delete("mt5account", "--all", wait=False)
        eventually(lambda: not kubectl.list("mt5account"), timeout_s=60)
    raise AssertionError("no two accounts were ever of the same second")


def _of_one_second(kubectl: Kubectl, number: int) -> dict[str, dict[str, Any]]:
    """Create an account and, once it has its id, up to 20 rivals; return who is of its second.

    Without kubectl, of which a busy machine does not start two in a second.
    """
    api = Api(kubectl.kubeconfig, timeout_s=60)
    place = f"/apis/mt5bridge.io/v1alpha1/namespaces/{kubectl.namespace}/mt5accounts"
    time.sleep(1 - time.time() % 1)  # timestamps have whole seconds; begin with one
    first = _meta(api.ask("POST", place, account(f"first-{number}")))
    metas = {first["name"]: first}
    wait_for(
        lambda: _meta(api.ask("GET", f"{place}/{first['name']}")).get("finalizers"),
        what="the first to have its id",
        timeout_s=30,
        interval_s=0.01,
    )
    for rival in range(20):
        meta = _meta(api.ask("POST", place, account(f"rival-{number}-{rival}")))
        if meta["creationTimestamp"] != first["creationTimestamp"]:
            break
        metas[meta["name"]] = meta
    return metas


def _meta(manifest: dict[str, Any]) -> dict[str, Any]:
    return dict(manifest["metadata"])


def test_a_manifest_with_our_finalizer_takes_nobodys_id_and_can_be_deleted(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account("older"))
    await_reason(kubectl, "Connected", "older")
    restored = account("restored")  # as from a backup, or from `kubectl get --output yaml`
    restored["metadata"]["finalizers"] = [FINALIZER]

    kubectl.apply(restored)

    await_reason(kubectl, "AccountIdConflict", "restored")
    kubectl.wait_for("mt5account", "restored", lambda it: not _meta(it).get("finalizers"))
    kubectl.apply(restored)  # it would have it as soon as the older one goes
    kubectl.delete("mt5account", "older")
    await_reason(kubectl, "Connected", "restored")
    kubectl.delete("mt5account", "restored")
    eventually(lambda: kubectl.get("mt5account", "restored") is None, timeout_s=20)
    assert redis.routes() == {}


def test_windows_without_windows_nodes_says_so_and_starts_when_one_comes(
    plane: ControlPlane, operator: Operator, kubectl: Kubectl
) -> None:
    operator.lead()
    kubectl.apply(secret(), account(brokerCompatibility="Windows"))

    told = await_reason(kubectl, "NoCapacity")

    assert "no Windows node (kubernetes.io/os=windows) takes pods" in told["message"]
    assert "set brokerCompatibility: Linux" in told["message"]
    nodes = set(kubectl("get", "nodes", "--output=name").split())
    plane.add_fake_nodes(1, os="windows")
    try:
        eventually(lambda: reason(kubectl) == "Connected", timeout_s=20)
        found = kubectl.get("mt5account", "demo")
        assert found is not None
        assert found["status"]["platform"] == "Windows"
    finally:
        kubectl("delete", *set(kubectl("get", "nodes", "--output=name").split()) - nodes)


def test_an_unknown_field_that_slipped_through_is_named_and_keeps_the_pod(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    route = redis.routes()["10001"]

    manifest = yaml.safe_dump(account(tradng={"enabled": True}))
    kubectl("apply", "--validate=false", "--filename", "-", stdin=manifest)

    told = await_reason(kubectl, "UnknownField")
    assert "spec.tradng" in told["message"]
    assert redis.routes()["10001"] == route
    kubectl.apply(account())
    await_reason(kubectl, "Connected")


def test_an_image_that_cannot_be_pulled_and_a_crash_are_told(
    operator: Operator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    kubectl.annotate("pod", "demo-a-0", {"test-cluster/pod": "crashing"})

    await_reason(kubectl, "PodCrashing")


def test_while_redis_is_away_accounts_say_so_and_config_maps_go_on(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    redis.stop()
    operator.lead()
    kubectl.apply(secret(), account())

    told = await_reason(kubectl, "RouteStoreUnavailable")

    assert "ConfigMap" in told["message"]
    eventually(lambda: "10001" in _shards(kubectl))
    redis.start()
    await_reason(kubectl, "Connected")
    assert redis.routes()["10001"]["address"]
    assert redis.client.get("mt5:routes:complete")


def test_a_flushed_redis_is_written_again(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    before = redis.routes()

    redis.client.flushall()

    eventually(lambda: bool(redis.client.get("mt5:routes:complete")), timeout_s=5)
    assert redis.routes() == before


def test_an_account_deleted_while_redis_is_away_is_gone_from_it_afterwards(
    operator: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account(), account("other", login=2))
    await_reason(kubectl, "Connected")
    await_reason(kubectl, "Connected", "other")
    eventually(lambda: set(redis.routes()) == {"10001", "2"})
    redis.client.save()

    redis.stop()
    kubectl.delete("mt5account", "demo", timeout_s=10)

    eventually(lambda: "10001" not in _shards(kubectl), timeout_s=2)
    redis.start()
    # With all that it held, as a Redis with a volume comes back.
    eventually(lambda: set(redis.routes()) == {"2"})


def _shards(kubectl: Kubectl) -> str:
    maps = [m for m in kubectl.list("configmap") if m["metadata"]["name"].startswith("mt5-routes-")]
    return " ".join(m["data"]["routes.json"].split('"routes"')[1] for m in maps)
