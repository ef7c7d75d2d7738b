# SPDX-License-Identifier: Apache-2.0
"""What the chart promises for every set of values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import (
    CHART,
    NAMES,
    NAMESPACE,
    VALUES,
    Manifest,
    environment,
    helm,
    only,
    pods,
    rendered,
    template,
)
from cluster.errors import CommandFailed
from cluster.paths import REPOSITORY
from mt5_operator.reasons import NEEDS_A_PERSON, Reason

pytestmark = pytest.mark.cluster  # needs helm, which the test cluster builds

READ_ONLY = {"get", "list", "watch"}
# With several shards a number follows.
OPERATOR = re.compile(r"-operator(-\d+)?$")


@pytest.mark.parametrize("name", NAMES)
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    helm("lint", "--strict", CHART, "--values", VALUES / f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_labelled_and_in_its_namespace(name: str) -> None:
    cluster_wide = {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "PriorityClass",
    }
    for manifest in rendered(name):
        assert ("namespace" in manifest["metadata"]) != (manifest["kind"] in cluster_wide)
        if manifest["kind"] != "CustomResourceDefinition":
            assert manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "mt5-bridge"


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_meets_the_restricted_standard(name: str) -> None:
    for workload, pod in pods(rendered(name)):
        if workload.endswith("-prepull-windows"):
            assert pod["securityContext"] == {"windowsOptions": {"runAsUserName": "ContainerUser"}}
            continue
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, workload
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
            # What only pulls images, and waits, answers nobody.
            assert "-prepull-" in workload or container["livenessProbe"]
            assert "-prepull-" in workload or container["readinessProbe"]
        volumes = pod.get("volumes", [])
        kinds = {next(key for key in volume if key != "name") for volume in volumes}
        assert kinds <= {"emptyDir", "secret", "configMap", "projected"}


@pytest.mark.parametrize("name", NAMES)
def test_only_the_operator_may_speak_to_the_api(name: str) -> None:
    for workload, pod in pods(rendered(name)):
        assert OPERATOR.search(workload) or pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_has_a_wildcard_or_more_of_secrets_than_it_needs(name: str) -> None:
    for role in rendered(name):
        for rule in role.get("rules", []):
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [word for word in words if "*" in word], role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                assert rule["resources"] == ["secrets"]
                assert rule["verbs"] in (["get"], ["create"])
                assert rule["verbs"] == ["get"] or role["kind"] == "Role"
            if "nodes" in rule["resources"]:
                assert set(rule["verbs"]) <= READ_ONLY


@pytest.mark.parametrize("name", NAMES)
def test_nothing_secret_is_in_an_environment_or_an_argument(name: str) -> None:
    manifests = rendered(name)
    secrets = [value for m in manifests if m["kind"] == "Secret" for value in m["data"].values()]
    for workload, pod in pods(manifests):
        text = json.dumps(pod)
        assert "secretKeyRef" not in text, workload
        assert "envFrom" not in text
        assert not [secret for secret in secrets if secret in text]
        assert not re.search(r"rediss?://[^/\"]*:[^/\"@]*@", text)


def test_the_crds_are_kept_when_the_release_goes() -> None:
    crds = [m for m in rendered("default") if m["kind"] == "CustomResourceDefinition"]

    assert [crd["metadata"]["name"] for crd in crds]
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    kinds = {m["kind"] for m in rendered("small")}
    assert "CustomResourceDefinition" not in kinds


def test_the_chart_carries_the_generated_crds() -> None:
    for file in (REPOSITORY / "crds").glob("*.yaml"):
        assert (CHART / "files/crds" / file.name).read_text() == file.read_text()


@pytest.mark.parametrize(
    "typo",
    [
        "operater.replicas=2",
        "operator.replica=2",
        "operator.replicas=0",
        "operator.image.tga=x",
        "operator.logLevel=LOUD",
        "router.service.type=Nodeport",
        "router.settings.READ_TIMEOUT=60",
        "router.settings.READ_TIMEOUT_S=soon",
        "router.ingress.hosts=x",
        "redis.enabled=false",
        "externalRedis.url=redis://:secret@host:6379/0",
        "accounts.windows.tolerations[0].efect=NoSchedule",
        "accounts.linux.requests.memry=1Gi",
        "networkPolicy.monitoringNamespaceSelector.matchLabel.a=b",
        "capacity.warm.linus=3",
        "capacity.warm.schedule[0].from=6h",
        "capacity.accountsPerNode.mac=3",
        "operator.resources.limits.memory=512MB",
        "accounts.linux.requests.memory=-1",
        r"commonLabels.helm\.sh/chart=mine",
    ],
)
def test_a_typo_is_refused_by_name(typo: str) -> None:
    with pytest.raises(CommandFailed) as refusal:
        template("--set", typo)

    path = typo.partition("=")[0]
    last = re.sub(r"\[\d+\]", "", path).split(".")
    assert any(word in str(refusal.value) for word in last[-2:])


@pytest.mark.parametrize(
    "value", ["operator.shards", "routes.shards", "redis.bundled", "networkPolicy.enabled"]
)
def test_a_value_that_is_taken_away_by_null_is_refused_by_name(value: str) -> None:
    # Without it there would be no operator, no routes, no Redis, or nothing between namespaces.
    with pytest.raises(CommandFailed, match=f"missing property '{value.partition('.')[2]}'"):
        template("--set", f"{value}=null")


def test_no_value_that_means_something_can_be_taken_away() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def lacking(node: dict[str, Any], given: dict[str, Any], path: str) -> Iterator[str]:
        for name, value in given.items():
            child = node["properties"][name]
            # Labels and resources have entries of their own, of which each may go.
            closed = child.get("additionalProperties") is False
            means = closed if isinstance(value, dict) else value not in ("", [])
            if means and name not in node.get("required", []):
                yield f"{path}{name}"
            if isinstance(value, dict) and closed:
                yield from lacking(child, value, f"{path}{name}.")

    assert list(lacking(schema, values, "")) == []


@pytest.mark.parametrize("name", ["5mt", "a.b", "My_Name"])
def test_a_name_that_no_service_may_have_is_refused_before_anything_is_made(name: str) -> None:
    with pytest.raises(CommandFailed, match="cannot begin the name of a Service"):
        template("--set", f"fullnameOverride={name}")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("LOG_LEVEL", ""),
        ("POD_NAME", ""),
        ("ROUTE_SHARDS", ""),
        ("LINUX_LIMITS", ",accounts.linux.limits.memory=1Gi"),
        ("BROKER_DRY_RUN", ",operator.shards=2"),
        ("WORKERS", ",operator.extraEnv[1].name=MT5_OPERATOR_WORKERS,operator.extraEnv[1].value=x"),
    ],
)
def test_a_setting_of_the_operator_is_given_once(name: str, values: str) -> None:
    setting = f"operator.extraEnv[0].name=MT5_OPERATOR_{name},operator.extraEnv[0].value=x"

    with pytest.raises(CommandFailed, match=f"MT5_OPERATOR_{name} is given already"):
        template("--set", setting + values)


def test_the_monitors_ask_ports_that_the_pods_have() -> None:
    manifests = rendered("ingress")
    monitor = only(manifests, "ServiceMonitor", "demo")["spec"]
    services = [
        m
        for m in manifests
        if m["kind"] == "Service"
        and monitor["selector"]["matchLabels"].items() <= m["metadata"]["labels"].items()
    ]

    assert {m["metadata"]["name"] for m in services} == {"demo-operator-ops", "demo-router-ops"}
    for service in services:
        deployment = only(manifests, "Deployment", service["metadata"]["name"].removesuffix("-ops"))
        pod = deployment["spec"]["template"]
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        [port] = service["spec"]["ports"]
        ports = pod["spec"]["containers"][0]["ports"]
        assert {"name": port["targetPort"], "containerPort": port["port"]} in ports
        assert port["name"] == monitor["endpoints"][0]["port"]
    accounts = only(manifests, "PodMonitor", "demo-accounts")["spec"]
    assert accounts["selector"] == {"matchLabels": {"app.kubernetes.io/name": "mt5-account"}}
    assert accounts["podMetricsEndpoints"][0]["port"] == "ops"
    assert accounts["namespaceSelector"] == {"any": True}


def test_the_values_that_pages_show_are_taken(tmp_path: Path) -> None:
    known = set(json.loads((CHART / "values.schema.json").read_text())["properties"])
    pages = [page.read_text() for page in sorted((REPOSITORY / "docs").glob("*.md"))]
    blocks = [
        block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    ]
    shown = [block for block in blocks if set(yaml.safe_load(block)) <= known]

    for block in shown:
        (tmp_path / "values.yaml").write_text(block)
        assert template("--values", tmp_path / "values.yaml"), block

    assert len(shown) >= 2


def test_every_value_has_a_place_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = {"global", "affinity", "items"}

    def walk(node: object, name: str) -> None:
        if not isinstance(node, dict):
            return
        if node.get("type") == "object" and name not in free:
            assert "additionalProperties" in node, name
        for key, child in (node.get("properties") or {}).items():
            walk(child, key)

    walk(schema, "values")
    for name, kind in schema["definitions"].items():
        walk(kind, name)


def test_redis_is_bundled_with_a_password_in_a_file() -> None:
    manifests = rendered("default")

    secret = only(manifests, "Secret", "demo-redis")
    assert len(secret["data"]["password"]) > 40
    by_name = dict(pods(manifests))
    url = "redis://demo-redis.mt5-system.svc.cluster.local:6379/0"
    operator, router = environment(by_name["demo-operator"]), environment(by_name["demo-router"])
    assert operator["MT5_OPERATOR_REDIS_URL"] == router["MT5_ROUTER_REDIS_URL"] == url
    assert operator["MT5_OPERATOR_REDIS_PASSWORD_FILE"] == "/run/mt5/redis/password"
    assert router["MT5_ROUTER_REDIS_PASSWORD_FILE"] == "/run/mt5/redis/password"


def test_an_external_redis_replaces_the_bundled_one() -> None:
    manifests = rendered("external-redis")

    assert "demo-redis" not in {m["metadata"]["name"] for m in manifests}
    router = dict(pods(manifests))["demo-router"]
    assert environment(router)["MT5_ROUTER_REDIS_URL"] == "rediss://mt5@redis.example:6380/2"
    assert environment(router)["MT5_ROUTER_REDIS_CA_FILE"] == "/run/mt5/redis-ca/ca.crt"
    volumes = {volume["name"]: volume for volume in router["volumes"]}
    assert volumes["redis-password"]["secret"]["secretName"] == "redis-login"


def test_without_redis_the_config_maps_remain() -> None:
    router = dict(pods(rendered("no-redis")))["demo-router"]

    assert "MT5_ROUTER_REDIS_URL" not in environment(router)
    [routes] = [volume for volume in router["volumes"] if volume["name"] == "routes"]
    sources = [source["configMap"] for source in routes["projected"]["sources"]]
    assert [source["name"] for source in sources] == [f"mt5-routes-{n}" for n in range(4)]
    assert all(source["optional"] for source in sources)
    assert [source["items"][0]["path"] for source in sources] == [
        f"{n}/routes.json" for n in range(4)
    ]


def test_settings_reach_operator_and_router() -> None:
    windows = environment(dict(pods(rendered("windows")))["demo-operator"])
    small = dict(pods(rendered("small")))

    assert json.loads(windows["MT5_OPERATOR_WINDOWS_REQUESTS"]) == {"memory": "1500Mi"}
    assert json.loads(windows["MT5_OPERATOR_WINDOWS_NODE_SELECTOR"]) == {"pool": "windows"}
    assert json.loads(windows["MT5_OPERATOR_IMAGE_PULL_SECRETS"]) == ["registry"]
    assert json.loads(windows["MT5_OPERATOR_WINDOWS_TOLERATIONS"])[0]["value"] == "windows"
    assert environment(small["bridge-operator"])["MT5_OPERATOR_WORKERS"] == "4"
    assert environment(small["bridge-router"])["MT5_ROUTER_TABLE_BYTES"] == "33554432"
    assert small["bridge-router"]["terminationGracePeriodSeconds"] == 5 + 60 + 5
    assert json.loads(windows["MT5_OPERATOR_AGENT_ENV"]) == {"MT5_AGENT_POLL_INTERVAL_S": "1"}
    assert windows["MT5_OPERATOR_SIMULATOR_IN_TERMINAL_IMAGE"] == "true"


def test_every_operator_setting_that_the_chart_sets_exists() -> None:
    from mt5_operator.settings import Settings

    known = {f"MT5_OPERATOR_{name.upper()}" for name in Settings.model_fields}
    for name in NAMES:
        pod = next(pod for workload, pod in pods(rendered(name)) if OPERATOR.search(workload))
        assert {entry["name"] for entry in pod["containers"][0]["env"]} <= known


def test_every_router_setting_of_the_schema_exists_and_is_documented() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    settings = schema["properties"]["router"]["properties"]["settings"]["properties"]
    entrypoint = (REPOSITORY / "images/router/entrypoint.sh").read_text()
    lua = (REPOSITORY / "images/router/lua/settings.lua").read_text()
    guide = (REPOSITORY / "docs/router.md").read_text()

    for name in settings:
        assert f" {name} " in entrypoint or f'"{name}"' in lua, name
        assert f"`{name}`" in guide, name


def test_served_namespaces_get_role_bindings_instead_of_the_whole_cluster() -> None:
    bindings = [m for m in rendered("small") if m["kind"].endswith("Binding")]
    everywhere = [b["roleRef"]["name"] for b in bindings if b["kind"] == "ClusterRoleBinding"]

    assert everywhere == ["mt5-system-bridge-operator-nodes"]
    spaces = {b["metadata"]["namespace"] for b in bindings if b["kind"] == "RoleBinding"}
    # Events of brokers, which have no namespace, are kept in `default`.
    assert spaces == {"mt5-system", "traders", "prop", "default"}


def test_served_namespaces_get_a_role_of_their_own_and_no_cluster_role_reaches_accounts() -> None:
    roles = {
        (m["kind"], m["metadata"].get("namespace", "")): m
        for m in rendered("small")
        if m["kind"] in ("Role", "ClusterRole") and "aggregate" not in str(m["metadata"])
    }

    assert set(roles) == {
        ("ClusterRole", ""),
        ("Role", "mt5-system"),
        ("Role", "traders"),
        ("Role", "prop"),
        ("Role", "default"),
    }
    # Of unusable API keys Events tell in our own namespace, whether it is served or not.
    assert any("events" in rule["resources"] for rule in roles["Role", "mt5-system"]["rules"])
    told = [rule["resources"] for rule in roles["Role", "default"]["rules"]]
    assert told == [["events"]], "Events of brokers, which have no namespace"
    everyones = [rule["resources"] for rule in roles["ClusterRole", ""]["rules"]]
    assert everyones == [["nodes"], ["mt5brokers"], ["mt5brokers/status"], ["namespaces"]]
    namespaces = roles["ClusterRole", ""]["rules"][-1]
    assert (namespaces["resourceNames"], namespaces["verbs"]) == (["traders", "prop"], ["get"])
    everywhere = only(rendered("default"), "ClusterRole", "mt5-system-demo-operator")
    assert roles["Role", "traders"]["rules"] == everywhere["rules"]


def test_whoever_may_view_edit_or_administrate_a_namespace_may_do_so_with_its_accounts() -> None:
    view = only(rendered("default"), "ClusterRole", "mt5-system-demo-view")
    edit = only(rendered("default"), "ClusterRole", "mt5-system-demo-edit")

    assert _aggregated(view) == {"view", "edit", "admin"}
    assert _aggregated(edit) == {"edit", "admin"}
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == READ_ONLY
    status = [rule for rule in edit["rules"] if "mt5accounts/status" in rule["resources"]]
    assert not status, "only the operator says how an account is"


def _aggregated(role: Manifest) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {label.removeprefix(prefix) for label in role["metadata"]["labels"] if prefix in label}


def test_running_accounts_are_never_preempted_by_vips_and_placeholders_by_all() -> None:
    classes = {
        m["metadata"]["name"]: m for m in rendered("default") if m["kind"] == "PriorityClass"
    }

    assert classes["mt5-vip"]["value"] == classes["mt5-standard"]["value"]
    assert classes["mt5-placeholder"]["value"] < classes["mt5-standard"]["value"]
    # Source: Cluster Autoscaler's FAQ, --expendable-pods-priority-cutoff.
    assert classes["mt5-placeholder"]["value"] >= -10
    assert classes["mt5-placeholder"]["preemptionPolicy"] == "Never"


def test_capacity_reaches_the_operator() -> None:
    told = environment(dict(pods(rendered("capacity")))["demo-operator-0"])

    assert told["MT5_OPERATOR_LINUX_ACCOUNTS_PER_NODE"] == "35"
    assert told["MT5_OPERATOR_WARM_LINUX"] == "4"
    assert json.loads(told["MT5_OPERATOR_WARM_SCHEDULE"])[0]["from"] == "06:00"
    assert json.loads(told["MT5_OPERATOR_ACCOUNTS_PER_NAMESPACE_OF"]) == {"prop": 50}
    off = template("--set", "capacity.warm.enabled=false")
    told = environment(dict(pods(off))["demo-operator"])
    assert told["MT5_OPERATOR_PRIORITY_CLASS_PLACEHOLDER"] == ""


def test_the_operator_finds_the_routers_pods_and_may_hurry_them() -> None:
    manifests = rendered("small")
    env = environment(dict(pods(manifests))["bridge-operator"])
    wanted = dict(word.split("=") for word in env["MT5_OPERATOR_ROUTER_SELECTOR"].split(","))
    routers = only(manifests, "Deployment", "bridge-router")["spec"]["selector"]["matchLabels"]
    assert wanted == routers
    rules = only(manifests, "Role", "bridge-operator")["rules"]
    assert {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]} in rules


def test_simulated_accounts_may_share_a_broker_that_outlives_their_pods() -> None:
    manifests = rendered("loadbalancer")
    env = environment(dict(pods(manifests))["demo-operator"])
    port = only(manifests, "Service", "demo-simulated-broker")["spec"]["ports"][0]["port"]
    place = f"demo-simulated-broker.{NAMESPACE}.svc.cluster.local:{port}"
    assert json.loads(env["MT5_OPERATOR_AGENT_ENV"]) == {"MT5_SIMULATOR_BROKER": place}
    policy = only(manifests, "NetworkPolicy", "demo-simulated-broker")
    assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port}]
    assert "demo-simulated-broker" not in dict(pods(rendered("default")))


def test_every_shard_has_its_deployment_its_lease_and_its_files() -> None:
    manifests = rendered("capacity")
    told = [environment(dict(pods(manifests))[f"demo-operator-{shard}"]) for shard in range(3)]

    assert [each["MT5_OPERATOR_SHARD"] for each in told] == ["0", "1", "2"]
    assert {each["MT5_OPERATOR_SHARDS"] for each in told} == {"3"}
    selectors = [
        json.dumps(only(manifests, "Deployment", f"demo-operator-{shard}")["spec"]["selector"])
        for shard in range(3)
    ]
    assert len(set(selectors)) == 3
    role = next(
        m for m in manifests if m["kind"] == "Role" and m["metadata"]["namespace"] == NAMESPACE
    )
    leases = [rule.get("resourceNames") for rule in role["rules"] if "leases" in rule["resources"]]
    assert leases[1] == [f"mt5-bridge-operator-{shard}" for shard in range(3)]
    router = dict(pods(manifests))["demo-router"]
    assert environment(router)["MT5_ROUTER_CONFIGMAP_SHARDS"] == "12"
    [routes] = [volume for volume in router["volumes"] if volume["name"] == "routes"]
    assert len(routes["projected"]["sources"]) == 12


def test_images_are_pulled_before_on_the_nodes_of_each_platform() -> None:
    by_name = dict(pods(rendered("capacity")))
    linux, windows = by_name["demo-prepull-linux"], by_name["demo-prepull-windows"]

    assert len({c["image"] for c in linux["initContainers"]}) == 2
    assert windows["nodeSelector"] == {"kubernetes.io/os": "windows", "pool": "windows"}
    assert windows["tolerations"][0]["value"] == "windows"
    assert "demo-prepull-linux" not in dict(pods(rendered("default")))


def test_no_disruption_budget_blocks_a_drain_for_one_replica_or_none_that_is_ready() -> None:
    assert not [m for m in rendered("small") if m["kind"] == "PodDisruptionBudget"]
    budgets = [m for m in rendered("default") if m["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == 2
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_operations_ports_are_closed_to_all_but_operator_and_monitoring() -> None:
    policies = {
        m["metadata"]["name"]: m for m in rendered("loadbalancer") if m["kind"] == "NetworkPolicy"
    }

    parts = {"operator", "router", "redis", "accounts", "simulated-broker"}
    assert policies.keys() == {f"demo-{part}" for part in parts}
    for policy in policies.values():
        for rule in policy["spec"]["ingress"]:
            public = (
                policy["metadata"]["name"] == "demo-router" and rule["ports"][0]["port"] == 8080
            )
            assert public or rule["from"]


def test_the_service_takes_a_fixed_node_port_and_a_digest_wins_over_a_tag() -> None:
    service = only(rendered("small"), "Service", "bridge-router")
    assert service["spec"]["ports"][0]["nodePort"] == 30080

    operator = dict(pods(rendered("loadbalancer")))["demo-operator"]
    assert operator["containers"][0]["image"].startswith("mt5-bridge/operator@sha256:0123")


def test_the_ingress_leads_to_the_router() -> None:
    ingress = only(rendered("ingress"), "Ingress", "demo-router")

    [rule] = ingress["spec"]["rules"]
    assert rule["host"] == "mt5.example"
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == "demo-router"
    assert ingress["spec"]["tls"] == [{"secretName": "mt5-tls", "hosts": ["mt5.example"]}]


def test_the_api_keys_are_not_helms() -> None:
    for name in NAMES:
        names = {m["metadata"]["name"] for m in rendered(name) if m["kind"] == "Secret"}
        assert "mt5-bridge-api-keys" not in names


def test_the_values_file_is_explained() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    guide = (REPOSITORY / "docs/install.md").read_text()

    for section in values:
        assert f"`{section}" in guide, section


def test_redis_is_asked_every_ten_seconds_and_for_readiness_every_two() -> None:
    redis = only(rendered("default"), "Deployment", "demo-redis")
    (container,) = redis["spec"]["template"]["spec"]["containers"]

    assert container["livenessProbe"] == {"tcpSocket": {"port": "redis"}, "periodSeconds": 10}
    assert container["readinessProbe"]["periodSeconds"] == 2
    assert "redis-cli ping" in container["readinessProbe"]["exec"]["command"][-1]


def test_several_shards_only_report_on_brokers() -> None:
    for name, told in (("capacity", True), ("default", False)):
        text = str([m for m in rendered(name) if m["kind"] == "Deployment"])

        assert ("'MT5_OPERATOR_BROKER_DRY_RUN', 'value': 'true'" in text) == told


def _alerts(*words: str) -> dict[str, Manifest]:
    found = template("--set", "monitoring.prometheusRule.enabled=true", *words)
    rule = next(item for item in found if item["kind"] == "PrometheusRule")
    return {each["alert"]: each for group in rule["spec"]["groups"] for each in group["rules"]}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    alerts = _alerts("--set", "operator.shards=3")
    known = (REPOSITORY / "docs" / "metrics.md").read_text()
    known += (REPOSITORY / "docs" / "router.md").read_text()

    for alert in alerts.values():
        assert {"summary", "action"} <= set(alert["annotations"])
        for metric in re.findall(r"mt5_(?:operator|router|sidecar)_\w+", alert["expr"]):
            assert f"`{metric}" in known, metric
        for reasons in re.findall(r'reason=~"([^"]*)"', alert["expr"]):
            assert set(reasons.split("|")) <= {str(reason) for reason in Reason}
    assert alerts["MT5OperatorNoLeader"]["expr"].endswith("< 3")
    told = set(re.findall(r'reason=~"([^"]*)"', alerts["MT5AccountsStalled"]["expr"])[0].split("|"))
    assert told == {str(reason) for reason in NEEDS_A_PERSON}


def test_each_alert_leads_to_the_runbook_that_names_it() -> None:
    url = "monitoring.prometheusRule.documentationUrl=https://wiki.example/"
    page = (REPOSITORY / "docs" / "runbooks.md").read_text()

    for name, alert in _alerts("--set", url).items():
        page_url, anchor = alert["annotations"]["runbook_url"].split("#")
        assert page_url == "https://wiki.example/docs/runbooks.md"
        assert re.search(rf"^\|.*`{name}`.*\(#{anchor}\) \|$", page, re.MULTILINE), name


def test_the_leader_of_another_installation_hides_no_missing_one_and_no_redis_is_none_away() -> (
    None
):
    alerts = _alerts("--values", str(VALUES / "no-redis.yaml"))

    assert f'is_leader{{namespace="{NAMESPACE}"}}' in alerts["MT5OperatorNoLeader"]["expr"]
    assert "on (instance, platform)" in alerts["MT5NoWarmPlace"]["expr"]
    assert not {"MT5RouterRedisAway", "MT5RouterResyncOld"} & alerts.keys()
    with_redis = _alerts()
    for name in ("MT5RouterRedisAway", "MT5RouterResyncOld"):
        assert f'{{namespace="{NAMESPACE}"}}' in with_redis[name]["expr"]


def test_a_front_door_that_is_gone_is_told_though_no_metric_of_it_is_left() -> None:
    expression = _alerts()["MT5NoRouter"]["expr"]

    assert f'routes_loaded{{namespace="{NAMESPACE}"}}' in expression
    assert "or vector(0)" in expression
    # Never since the start is -1, and no age.
    assert "age_seconds" in (old := _alerts()["MT5RouterResyncOld"]["expr"])
    assert "== -1" in old
