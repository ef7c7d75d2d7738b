# SPDX-License-Identifier: Apache-2.0
"""The real node: one image, built without Docker, in pods that do what our own pods do."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from cluster.backends import Cluster
from cluster.images import Image, build_image
from cluster.kubectl import Kubectl
from cluster.local import LocalCluster
from cluster.waiting import wait_for
from mt5_operator.reconcile.pods import resize

pytestmark = pytest.mark.e2e

_PORT: Final = 8080
# Debian's smallest system has Perl, and bash can open connections.
_SERVER: Final = """\
FROM debian:trixie-slim
COPY server.pl /server.pl
USER 1000:1000
CMD ["perl", "/server.pl"]
"""
_SERVER_PROGRAM: Final = """\
use IO::Socket::INET;
open(my $file, ">>", "/data/visits") or die "cannot write: $!";
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!;
$SIG{TERM} = sub { exit 0 };
while (my $client = $server->accept()) {
    syswrite($file, "x");
    print $client "visit " . (-s "/data/visits") . "\\n";
    close($client);
}
"""


@pytest.fixture(scope="session")
def image(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Image:
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(_SERVER)
    (context / "server.pl").write_text(_SERVER_PROGRAM)
    built = build_image("test-cluster/server", dockerfile=context / "Dockerfile", context=context)
    node_cluster.load(built.archive)
    return built


def restricted(image: Image, **more: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": image.name,
        "securityContext": {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **more,
    }


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": _PORT}]},
    }


def server(name: str, image: Image) -> dict[str, Any]:
    labels = {"app": name}
    container = restricted(
        image,
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        readinessProbe={"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
    )
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Mi"}},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"securityContext": {"fsGroup": 1000}, "containers": [container]},
            },
            "volumeClaimTemplates": [claim],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
        },
    }


def client(name: str, image: Image) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [restricted(image, command=["sleep", "infinity"])]},
    }


def visits(kubectl: Kubectl, *, host: str) -> int:
    asked = kubectl.exec("client", ["bash", "-c", f"cat < /dev/tcp/{host}/80"])
    return int(asked.removeprefix("visit "))


def test_pods_reach_services_by_name_and_keep_their_volumes(
    node_cluster: Cluster, node_kubectl: Kubectl, image: Image
) -> None:
    kubectl = node_kubectl
    name = f"web.{kubectl.namespace}.svc.cluster.local"
    kubectl.apply(service("web"), server("web", image), client("client", image))
    kubectl.wait_for_ready("pod", "web-0", timeout_s=60)
    kubectl.wait_for_ready("pod", "client", timeout_s=60)

    before = visits(kubectl, host=name)
    kubectl.delete("pod", "web-0")
    kubectl.wait_for_ready("pod", "web-0", timeout_s=60)
    after = visits(kubectl, host="web")

    assert after > before >= 1
    assert "visit" not in kubectl.logs("web-0")


def test_a_volume_goes_with_its_claim(
    node_cluster: Cluster, node_kubectl: Kubectl, image: Image
) -> None:
    kubectl = node_kubectl
    kubectl.apply(server("web", image))
    kubectl.wait_for_ready("pod", "web-0", timeout_s=60)
    claim = kubectl.get("persistentvolumeclaim", "data-web-0")
    assert claim is not None

    kubectl.delete("statefulset", "web")

    kubectl.wait_until_gone("persistentvolumeclaim", "data-web-0")
    kubectl.wait_until_gone("persistentvolume", claim["spec"]["volumeName"])


def test_kubelet_comes_back_when_it_is_killed(node_cluster: Cluster, node_kubectl: Kubectl) -> None:
    if not isinstance(node_cluster, LocalCluster):
        pytest.skip("only our own node's kubelet is ours to kill")

    node_cluster.node.signal("kubelet")

    node_kubectl("run", "again", "--image=docker.io/test-cluster/pause:1")
    node_kubectl.wait_for_ready("pod", "again", timeout_s=60)


@pytest.fixture
def resized(node_kubectl: Kubectl) -> Resized:
    return Resized(node_kubectl)


class Resized:
    """A pod with an account's containers, which do nothing."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        image = {"image": "docker.io/test-cluster/pause:1"}
        spec = {group: [each | image for each in some] for group, some in _asked("50m").items()}
        spec["initContainers"][0]["restartPolicy"] = "Always"
        kind = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "resized"}}
        kubectl.apply(kind | {"spec": spec})
        kubectl.wait_for_ready("pod", "resized", timeout_s=60)

    def ask(self, cpu: str) -> None:
        """Ask for other resources, as the operator does."""
        told = json.dumps({"spec": _asked(cpu)})
        options = ("--subresource=resize", "--type=strategic", "--patch", told)
        self._kubectl("patch", "pod", "resized", *options)

    def has(self, cpu: str) -> bool:
        """Tell whether the operator would say that the pod has them."""
        wanted = {some[0]["name"]: some[0]["resources"] for some in _asked(cpu).values()}
        return resize.has(self.pod(), wanted)

    def pod(self) -> dict[str, Any]:
        """Return the pod as it is now."""
        return self._kubectl.get("pod", "resized") or {}


def _asked(cpu: str) -> dict[str, Any]:
    amounts = {"requests": {"cpu": cpu, "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
    names = {"initContainers": "sidecar", "containers": "terminal"}
    return {group: [{"name": name, "resources": amounts}] for group, name in names.items()}


def test_a_kubelet_changes_the_resources_of_a_pod_that_runs(resized: Resized) -> None:
    wait_for(lambda: resized.has("50m"), what="the kubelet to say what the pod has", timeout_s=20)

    resized.ask("100m")

    wait_for(lambda: resized.has("100m"), what="the kubelet to say that it has more", timeout_s=20)
    told = resized.pod()["status"]
    assert [each["restartCount"] for each in told["containerStatuses"]] == [0]
    assert [each["restartCount"] for each in told["initContainerStatuses"]] == [0]


def test_what_a_kubelet_can_never_give_it_says_at_once(resized: Resized) -> None:
    resized.ask("1000")

    why = wait_for(
        lambda: resize.refusal(resized.pod()) or None, what="the kubelet's no", timeout_s=20
    )
    assert "capacity" in why
    assert not resized.has("1000")
