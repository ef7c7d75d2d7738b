# SPDX-License-Identifier: Apache-2.0
"""What should exist for an account."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mt5_operator import names
from mt5_operator.desired.difference import differs
from mt5_operator.desired.files import access, account_files
from mt5_operator.desired.quantity import canonical
from mt5_operator.desired.stateful_set import stateful_set
from mt5_operator.desired.template import WITH_NEXT_POD, shape_id, template_id
from mt5_operator.desired.volumes import claimed, with_claim
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import account
from operator_samples import manifest as of_account
from operator_samples import parsed

SETTINGS = Settings()


def linux(**spec: Any) -> dict[str, Any]:
    return stateful_set(parsed(**spec), Platform.LINUX, "a", SETTINGS)


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


def test_the_sidecar_is_native_and_alone_sees_the_password() -> None:
    spec = pod(linux())
    (sidecar,), (terminal,) = spec["initContainers"], spec["containers"]

    assert sidecar["restartPolicy"] == "Always"
    assert "credentials" in [mount["name"] for mount in sidecar["volumeMounts"]]
    assert {m["name"] for m in terminal["volumeMounts"]} == {
        "agent-token",
        "start-file",
        "terminal-data",
        "terminal-tmp",
    }


def test_what_holds_a_secret_is_in_memory() -> None:
    kinds = {volume["name"]: volume.get("emptyDir", {}) for volume in pod(linux())["volumes"]}

    in_memory = {name for name, kind in kinds.items() if kind.get("medium") == "Memory"}
    assert in_memory == {"agent-token", "start-file"}


def test_a_linux_pod_is_restricted_and_has_no_token() -> None:
    spec = pod(linux())

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["initContainers"] + spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_windows_pod_has_nothing_that_windows_does_not_know() -> None:
    spec = pod(stateful_set(parsed(server="Broker"), Platform.WINDOWS, "a", SETTINGS))

    assert spec["os"] == {"name": "windows"}
    assert spec["nodeSelector"]["kubernetes.io/os"] == "windows"
    assert spec["securityContext"] == {"windowsOptions": {"runAsUserName": "ContainerUser"}}
    assert spec["tolerations"] == SETTINGS.windows_tolerations
    assert all("securityContext" not in c for c in spec["initContainers"] + spec["containers"])
    assert spec["containers"][0]["image"] == SETTINGS.terminal_image_windows


def test_the_simulator_runs_the_sidecar_image_with_the_agents_command() -> None:
    (simulated,), (real,) = pod(linux())["containers"], pod(linux(server="Broker"))["containers"]

    assert simulated["image"] == SETTINGS.sidecar_image
    assert simulated["command"] == ["python", "-m", "mt5_agent"]
    assert {"name": "MT5_AGENT_BACKEND", "value": "simulator"} in simulated["env"]
    assert real["image"] == SETTINGS.terminal_image_linux
    assert "command" not in real
    assert {"name": "MT5_AGENT_BACKEND", "value": "metatrader5"} in real["env"]


def test_the_sidecar_is_told_its_pods_name_and_uid() -> None:
    (sidecar,) = pod(linux())["initContainers"]

    told = {
        e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"]
        for e in sidecar["env"]
        if "valueFrom" in e
    }
    assert told == {
        "MT5_SIDECAR_POD_NAME": "metadata.name",
        "MT5_SIDECAR_POD_UID": "metadata.uid",
    }


@pytest.mark.parametrize(
    ("platform", "image", "limits"),
    [
        (Platform.LINUX, SETTINGS.terminal_image_linux, SETTINGS.linux_limits),
        (Platform.WINDOWS, SETTINGS.terminal_image_windows, SETTINGS.windows_limits),
    ],
)
def test_the_simulator_can_run_as_a_terminal_does(
    platform: Platform, image: str, limits: dict[str, str]
) -> None:
    settings = Settings(simulator_in_terminal_image=True)

    (terminal,) = pod(stateful_set(parsed(), platform, "a", settings))["containers"]

    assert terminal["image"] == image
    assert "command" not in terminal
    assert {"name": "MT5_AGENT_BACKEND", "value": "simulator"} in terminal["env"]
    assert terminal["resources"]["limits"] == {k: canonical(v) for k, v in limits.items()}


def test_sidecar_and_agent_get_the_settings_that_are_theirs() -> None:
    settings = Settings(
        sidecar_env={"MT5_SIDECAR_WS_INTERVAL_MS": "250"},
        agent_env={"MT5_AGENT_POLL_INTERVAL_S": "1"},
    )

    found = pod(stateful_set(parsed(), Platform.LINUX, "a", settings))

    (sidecar,), (terminal,) = found["initContainers"], found["containers"]
    assert {"name": "MT5_SIDECAR_WS_INTERVAL_MS", "value": "250"} in sidecar["env"]
    assert {"name": "MT5_AGENT_POLL_INTERVAL_S", "value": "1"} in terminal["env"]
    assert not [e for e in sidecar["env"] if e["name"].startswith("MT5_AGENT_")]


def test_nothing_secret_is_in_the_pod() -> None:
    text = json.dumps(linux())

    assert "MT5_SIDECAR_PASSWORD" not in text
    assert "secretKeyRef" not in text


def test_an_operator_upgrade_moves_nobody() -> None:
    before = template_id(parsed(), Platform.LINUX, SETTINGS)
    rendered = linux()["spec"]

    # What a later version may change by itself: defaults, probes, new environment.
    class Later(Settings):
        simulator_termination_grace_s: int = 31
        new_thing: str = "on"

    assert template_id(parsed(), Platform.LINUX, Later()) == before
    words = {names.TEMPLATE: before, names.SHAPE: shape_id(parsed(), Platform.LINUX, Later())}
    assert rendered["template"]["metadata"]["annotations"] == words | names.STAYS
    # And what it renders anew in place restarts no pod.
    assert rendered["updateStrategy"] == {"type": "OnDelete"}


@pytest.mark.parametrize("platform", list(Platform))
@pytest.mark.parametrize("server", ["Simulator-Demo", "Broker-Demo"])
@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_a_setting_moves_accounts_exactly_if_it_is_in_their_pods(
    name: str, server: str, platform: Platform
) -> None:
    changed = SETTINGS.model_copy(update={name: other_value(getattr(SETTINGS, name))})
    account = parsed(server=server)

    def template(settings: Settings) -> Any:
        spec = stateful_set(account, platform, "a", settings)["spec"]["template"]["spec"]
        return json.dumps(spec, sort_keys=True)

    ids = {template_id(account, platform, settings) for settings in (SETTINGS, changed)}
    in_pods = template(SETTINGS) != template(changed) and name not in WITH_NEXT_POD
    assert (len(ids) == 2) == in_pods, f"{name}: name it in mt5_operator/desired/template.py"


def other_value(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool | int | float):
        return value + 1
    if isinstance(value, dict):
        return value | {"memory": "3Gi"}
    if isinstance(value, list):
        return [*value, {"key": "k", "effect": "NoSchedule"} if value[:1] != ["python"] else "x"]
    return f"{value}-other"


@pytest.mark.parametrize(
    "spec",
    [
        {"resources": {"requests": {"cpu": "2"}}},
        {"credentialsSecretRef": {"name": "other"}},
        {"storage": {"size": "1Gi"}},
        {"accountId": "x"},
        {"server": "Simulator-Other"},
    ],
)
def test_what_is_in_the_pod_moves_the_account(spec: dict[str, Any]) -> None:
    ids = {template_id(parsed(**each), Platform.LINUX, SETTINGS) for each in ({}, spec)}

    assert len(ids) == 2


def test_what_changes_without_a_new_pod_moves_nobody() -> None:
    loud = parsed(symbols=["XAUUSD"], trading={"enabled": True}, priority="VIP", suspend=True)

    assert template_id(loud, Platform.LINUX, SETTINGS) == template_id(
        parsed(), Platform.LINUX, SETTINGS
    )


def test_no_stateful_set_can_become_one_of_another_account_of_that_name() -> None:
    """A selector is immutable: whoever applies ours over an earlier account's is refused."""
    mine = stateful_set(parsed(), Platform.LINUX, "a", SETTINGS)["spec"]
    theirs = of_account()
    theirs["metadata"]["uid"] = "another"
    other = stateful_set(account(theirs), Platform.LINUX, "a", SETTINGS)["spec"]

    selector = mine["selector"]["matchLabels"]
    assert selector != other["selector"]["matchLabels"]
    assert selector.items() <= mine["template"]["metadata"]["labels"].items()
    # One that an earlier version made keeps its selector; its next pod is marked all the same.
    old = {"mt5bridge.io/account": "demo", "mt5bridge.io/slot": "a"}
    kept = stateful_set(parsed(), Platform.LINUX, "a", SETTINGS, selector=old)["spec"]
    assert kept["selector"]["matchLabels"] == old
    assert kept["template"]["metadata"]["labels"]["mt5bridge.io/account-uid"] == "uid-demo"


def test_what_changes_without_a_new_pod_is_not_in_the_stateful_set() -> None:
    quiet = linux()
    loud = linux(trading={"enabled": True}, symbols=["EURUSD"], priority="VIP")

    assert quiet == loud


def test_storage_becomes_one_volume_of_two_parts() -> None:
    manifest = linux(storage={"size": "2048Mi", "storageClassName": "fast"})
    spec = pod(manifest)
    (claim,) = manifest["spec"]["volumeClaimTemplates"]
    mounts = [m for c in spec["initContainers"] + spec["containers"] for m in c["volumeMounts"]]

    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert [m["subPath"] for m in mounts if m["name"] == "data"] == ["journal", "terminal"]
    assert not {"journal", "terminal-data"} & {v["name"] for v in spec["volumes"]}


def test_a_stateful_set_keeps_its_claim_and_with_it_is_not_what_is_wanted() -> None:
    small, large = linux(storage={"size": "1Gi"}), linux(storage={"size": "2048Mi"})
    account = parsed(storage={"size": "2048Mi"})

    kept = stateful_set(with_claim(account, claimed(small)), Platform.LINUX, "a", SETTINGS)

    assert kept == small
    # The same size in other words is no other template: nobody moves for it.
    kept = stateful_set(with_claim(account, claimed(large)), Platform.LINUX, "a", SETTINGS)
    assert kept == large
    exponent = parsed(storage={"size": "1.5e9"})  # the API server writes it in another way
    assert with_claim(exponent, "1500e6") == exponent
    assert with_claim(parsed(), "1Gi") == parsed()
    assert claimed(linux()) == ""


def test_overrides_replace_only_what_they_name() -> None:
    (terminal,) = pod(linux(server="Broker", resources={"limits": {"memory": "2048Mi"}}))[
        "containers"
    ]

    assert terminal["resources"] == {
        "requests": {"cpu": "250m", "memory": "768Mi"},
        "limits": {"cpu": "500m", "memory": "2Gi"},
    }


def test_account_json_is_what_sidecars_read() -> None:
    manifest = account_files(
        parsed(trading={"enabled": True, "maxVolume": 0.5}, symbols=["EURUSD"])
    )

    assert json.loads(manifest["data"]["account.json"]) == {
        "version": 1,
        "symbols": ["EURUSD"],
        "trading": {
            "enabled": True,
            "max_volume": "0.5",
            "symbols": None,
            "orders_per_minute": None,
        },
    }


def test_the_access_files_hold_keys_and_public_keys() -> None:
    data = access("ns", keys=[{"id": "k"}], jwks=[{"kty": "OKP"}])["data"]

    assert json.loads(data["keys.json"]) == {"version": 1, "keys": [{"id": "k"}]}
    assert json.loads(data["operator.jwks.json"]) == {"keys": [{"kty": "OKP"}]}


def test_every_object_names_its_owner_and_its_hash() -> None:
    for manifest in (linux(), account_files(parsed())):
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert owner["uid"] == "uid-demo"
        assert owner["controller"]
        assert names.HASH in manifest["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0.25", "250m"),
        ("1", "1"),
        ("1000m", "1"),
        ("1.2Gi", "1288490188800m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000Ki", "1000Ki"),
        ("2000", "2k"),
        ("1e3", "1e3"),
        ("0", "0"),
        ("0.5", "500m"),
        ("1229Mi", "1229Mi"),
        ("100M", "100M"),
    ],
)
def test_quantities_are_written_as_the_server_writes_them(text: str, written: str) -> None:
    assert canonical(text) == written


def test_defaults_of_the_server_are_no_difference() -> None:
    actual = copy.deepcopy(linux())
    actual["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    actual["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] = "/dev/x"
    actual["metadata"]["resourceVersion"] = "5"

    assert not differs(linux(), actual)


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m["spec"].update(replicas=0),
        lambda m: m["spec"]["template"]["spec"]["containers"][0].update(image="evil"),
        lambda m: m["spec"]["template"]["spec"]["containers"][0]["env"].pop(),
        lambda m: m["spec"]["template"]["spec"]["volumes"].pop(),
        lambda m: m["metadata"]["labels"].pop(names.ACCOUNT_LABEL),
        lambda m: m["metadata"]["annotations"].update({names.HASH: "old"}),
        lambda m: m["metadata"].pop("ownerReferences"),
        lambda m: m["spec"]["template"]["spec"].update(automountServiceAccountToken=True),
    ],
)
def test_an_edit_by_hand_is_a_difference(edit: Any) -> None:
    actual = copy.deepcopy(linux())

    edit(actual)

    assert differs(linux(), actual)


def test_two_mounts_of_one_volume_are_told_apart() -> None:
    desired = [{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/b"}]

    assert not differs(desired, list(reversed(desired)))
    assert differs(desired, [desired[0], {"name": "data", "mountPath": "/c"}])


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize(
    ("probe", "path", "period_s", "failures"),
    [
        ("startupProbe", "/healthz", 1, 60),
        ("livenessProbe", "/healthz", 10, 6),
        ("readinessProbe", "/readyz", 2, 2),
    ],
)
def test_the_kubelet_asks_the_sidecars_own_loop(
    platform: Platform, probe: str, path: str, period_s: int, failures: int
) -> None:
    (sidecar,) = pod(stateful_set(parsed(), platform, "a", SETTINGS))["initContainers"]

    assert {p["name"]: p["containerPort"] for p in sidecar["ports"]} == {"http": 8080, "ops": 8081}
    assert sidecar[probe] == {
        "httpGet": {"path": path, "port": "ops", "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def test_the_kubelet_is_as_patient_with_a_sidecar_as_is_set() -> None:
    settings = Settings(sidecar_start_s=200, sidecar_hung_s=85, sidecar_probe_timeout_s=7)

    (sidecar,) = pod(stateful_set(parsed(), Platform.LINUX, "a", settings))["initContainers"]

    probes = [sidecar[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
    assert [p["periodSeconds"] * p["failureThreshold"] for p in probes] == [200, 90, 4]
    assert {p["timeoutSeconds"] for p in probes} == {7}


@pytest.mark.parametrize(
    ("platform", "requested", "most"),
    [("Linux", "768Mi", "972Mi"), ("Windows", "1229Mi", "1587Mi")],
)
def test_a_terminal_gets_the_memory_and_cpu_of_its_platform(
    platform: str, requested: str, most: str
) -> None:
    manifest = stateful_set(parsed(server="Broker"), Platform(platform), "a", SETTINGS)

    (terminal,) = pod(manifest)["containers"]

    assert terminal["resources"] == {
        "requests": {"cpu": "250m", "memory": requested},
        "limits": {"cpu": "500m", "memory": most},
    }


@pytest.mark.parametrize(("platform", "gib"), [("Linux", 1.2), ("Windows", 1.8)])
def test_an_accounts_whole_pod_fits_the_memory_of_its_platform(platform: str, gib: float) -> None:
    found = pod(stateful_set(parsed(server="Broker"), Platform(platform), "a", SETTINGS))

    limits = [c["resources"]["limits"]["memory"] for c in _all_containers(found)]

    assert len(limits) == 2
    assert sum(int(limit.removesuffix("Mi")) for limit in limits) <= gib * 1024


def _all_containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["initContainers"], *pod["containers"]]


@pytest.mark.parametrize("platform", ["Linux", "Windows"])
def test_settings_choose_the_nodes_and_amounts_of_a_platform(platform: str) -> None:
    other = "Windows" if platform == "Linux" else "Linux"
    toleration = {"key": "only", "operator": "Exists", "effect": "NoSchedule"}
    prefix = platform.lower()
    chosen: dict[str, Any] = {
        f"{prefix}_node_selector": {"pool": "workers"},
        f"{prefix}_tolerations": [toleration],
        f"{prefix}_requests": {"cpu": "500m", "memory": "1Gi"},
        f"{prefix}_limits": {"cpu": "1", "memory": "2Gi"},
    }

    mine, theirs = (
        pod(stateful_set(parsed(server="Broker"), Platform(name), "a", Settings(**chosen)))
        for name in (platform, other)
    )

    assert mine["nodeSelector"] == {"kubernetes.io/os": prefix, "pool": "workers"}
    assert mine["tolerations"] == [toleration]
    assert mine["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "2Gi"},
    }
    assert theirs == pod(stateful_set(parsed(server="Broker"), Platform(other), "a", SETTINGS))


def test_the_sidecars_settings_travel_with_the_keys_and_only_where_there_are_some():
    with_settings = access("ns", keys=[], jwks=[], settings={"ws_max_sockets": 5})["data"]
    without = access("ns", keys=[], jwks=[], settings={})["data"]

    assert json.loads(with_settings["mt5_bridge.yaml"]) == {"ws_max_sockets": 5}
    assert "mt5_bridge.yaml" not in without
