# SPDX-License-Identifier: Apache-2.0
"""Fake nodes: KWOK plays kubelet for them, and their pods become Ready without running.

KWOK touches only nodes with the annotation `kwok.x-k8s.io/node=fake`, so that real nodes can live
in the same cluster. How a pod on a fake node behaves, a test chooses by a `Mode`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from cluster.network import Addresses

Manifest = dict[str, Any]

FAKE: Final = ("kwok.x-k8s.io/node", "fake")
POD_ANNOTATION: Final = "test-cluster/pod"
NODE_ANNOTATION: Final = "test-cluster/node"
WINDOWS_TAINT: Final = {"key": "os", "value": "windows", "effect": "NoSchedule"}


class Mode(StrEnum):
    """How a pod on a fake node behaves: the value of its annotation `test-cluster/pod`.

    Where a test has no hand in the annotations, the tag of one of the pod's images says it, as in
    `anything:never-ready`. The annotation goes before; it can be changed at any time.
    """

    READY = "ready"
    """Becomes Ready at once. This is so without annotation, too."""
    NEVER_READY = "never-ready"
    """Runs and has an address, and is not Ready."""
    STUCK = "stuck"
    """Has a node, and there nothing happens to it."""
    CRASHING = "crashing"
    """Its containers wait in CrashLoopBackOff."""


def fake_node(
    name: str, *, os: Literal["linux", "windows"], capacity: Mapping[str, str]
) -> Manifest:
    """Return a fake node; one for Windows has the usual label and taint."""
    labels = {
        "kubernetes.io/os": os,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "type": "kwok",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": dict([FAKE])},
        "spec": {"taints": [WINDOWS_TAINT] if os == "windows" else []},
        "status": {"capacity": dict(capacity), "allocatable": dict(capacity)},
    }


def command(program: Path, *, kubeconfig: Path, config: Path, addresses: Addresses) -> list[str]:
    """Return the command line of KWOK."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--config={config}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={'='.join(FAKE)}",
        f"--cidr={addresses.fake_pods}",
        f"--node-ip={addresses.host}",
        f"--server-address={addresses.loopback}:10247",
        "--node-lease-duration-seconds=40",
    ]


def write_config(path: Path) -> Path:
    """Write KWOK's configuration, and return its path."""
    path.write_text(yaml.safe_dump_all(stages()))
    return path


def stages() -> list[Manifest]:
    """Return what KWOK does to fake nodes and their pods, and when."""
    return [
        _stage("node-ready", "Node", [_ready_is_not("True"), _node_is_on()], _NODE_READY),
        _stage("node-down", "Node", [_ready_is_not("False"), _node_is_down()], _NODE_DOWN),
        _pod_stage(Mode.READY, _ready_is_not("True"), _pod_status(ready=True)),
        _pod_stage(Mode.NEVER_READY, _ready_is_not("False"), _pod_status(ready=False)),
        _pod_stage(Mode.CRASHING, _is_not_crashing(), _POD_CRASHING),
        _job_pod_completes(),
        _pod_ends(),
        _pod_goes(),
    ]


def _stage(name: str, kind: str, when: list[Manifest], status_template: str) -> Manifest:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": {"statusTemplate": status_template},
        },
    }


def _pod_stage(mode: Mode, change: Manifest, status_template: str) -> Manifest:
    when = [
        _exists(".metadata.deletionTimestamp", exists=False),
        _among(".status.phase", "Succeeded", "Failed", among=False),
        _among(_MODE, mode.value),
        change,
    ]
    return _stage(f"pod-{mode}", "Pod", when, status_template)


def _job_pod_completes() -> Manifest:
    when = [
        _exists(".metadata.deletionTimestamp", exists=False),
        _among(".status.phase", "Running"),
        _among(".metadata.ownerReferences.[].kind", "Job"),
    ]
    return _stage("pod-complete", "Pod", when, _POD_COMPLETE)


def _pod_ends() -> Manifest:
    """As a kubelet does: first it says that all containers have ended, then the object goes."""
    when = [
        _exists(".metadata.deletionTimestamp"),
        _among(".status.phase", "Succeeded", "Failed", among=False),
    ]
    return _stage("pod-ends", "Pod", when, _POD_ENDED)


def _pod_goes() -> Manifest:
    when = [
        _exists(".metadata.deletionTimestamp"),
        _among(".status.phase", "Succeeded", "Failed"),
    ]
    stage = _stage("pod-goes", "Pod", when, "")
    stage["spec"]["next"] = {"finalizers": {"empty": True}, "delete": True}
    return stage


def _among(expression: str, *values: str, among: bool = True) -> Manifest:
    return {"key": expression, "operator": "In" if among else "NotIn", "values": list(values)}


def _exists(expression: str, *, exists: bool = True) -> Manifest:
    return {"key": expression, "operator": "Exists" if exists else "DoesNotExist"}


def _ready_is_not(value: str) -> Manifest:
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    return _among(ready, value, among=False)


def _is_not_crashing() -> Manifest:
    waiting = ".status.containerStatuses.[].state.waiting.reason"
    return _among(waiting, "CrashLoopBackOff", among=False)


def _node_is_down() -> Manifest:
    return _among(f'.metadata.annotations["{NODE_ANNOTATION}"]', "down")


def _node_is_on() -> Manifest:
    return _among(f'.metadata.annotations["{NODE_ANNOTATION}"]', "down", among=False)


# A jq expression, as are all of a stage's keys.
_MODE: Final = f"""
.metadata.annotations["{POD_ANNOTATION}"]
// (
  [ .spec.containers[], .spec.initContainers[]? | .image
    | capture(":(?<mode>{"|".join(mode for mode in Mode)})$") | .mode ]
  | first
)
// "{Mode.READY}"
"""

# After KWOK's own stage "node-initialize", which says linux for every node.
_NODE_READY: Final = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- {address: {{ NodeIP | Quote }}, type: InternalIP}
- {address: {{ NodeName | Quote }}, type: Hostname}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: {{ printf "kwok://%s" Version | Quote }}
  kernelVersion: fake
  kubeProxyVersion: ""
  kubeletVersion: fake
  machineID: ""
  operatingSystem: {{ index .metadata.labels "kubernetes.io/os" | Quote }}
  osImage: fake
  systemUUID: ""
phase: Running
"""

_NODE_DOWN: Final = """
conditions:
- lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
  message: switched off by a test
  reason: KubeletNotReady
  status: "False"
  type: Ready
"""

_ADDRESSES: Final = """
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ or .status.podIP ( PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) \
( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) ) | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""

_INIT_CONTAINERS: Final = """
initContainerStatuses:
{{ range .spec.initContainers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  {{ if eq ( or .restartPolicy "" ) "Always" }}
  started: true
  state: {running: {startedAt: {{ $now | Quote }}}}
  {{ else }}
  state:
    terminated:
      exitCode: 0
      finishedAt: {{ $now | Quote }}
      reason: Completed
      startedAt: {{ $now | Quote }}
  {{ end }}
{{ end }}
"""


def _conditions(*, ready: bool) -> str:
    values = {"Initialized": True, "Ready": ready, "ContainersReady": ready}
    return "{{ $now := Now }}\nconditions:\n" + "".join(
        f'- {{lastTransitionTime: {{{{ $now | Quote }}}}, status: "{value}", type: {kind}}}\n'
        for kind, value in values.items()
    )


def _containers(state: str, *, ready: bool) -> str:
    return f"""
containerStatuses:
{{{{ range .spec.containers }}}}
- image: {{{{ .image | Quote }}}}
  name: {{{{ .name | Quote }}}}
  ready: {str(ready).lower()}
  started: {str(ready).lower()}
  restartCount: 0
  state: {state}
{{{{ end }}}}
"""


def _pod_status(*, ready: bool) -> str:
    running = _containers("{running: {startedAt: {{ $now | Quote }}}}", ready=ready)
    return _conditions(ready=ready) + running + _INIT_CONTAINERS + _ADDRESSES


_POD_CRASHING: Final = (
    _conditions(ready=False)
    + _containers(
        "{waiting: {reason: CrashLoopBackOff, message: crashes because a test wants it}}",
        ready=False,
    )
    + _INIT_CONTAINERS
    + _ADDRESSES
)

_POD_COMPLETE: Final = (
    _conditions(ready=False)
    + _containers("{terminated: {exitCode: 0, reason: Completed}}", ready=False)
    + "phase: Succeeded\n"
)

_ENDED: Final = """
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  restartCount: 0
  started: false
  state: {terminated: {exitCode: 0, reason: Completed, finishedAt: {{ $now | Quote }}}}
"""

_POD_ENDED: Final = (
    _conditions(ready=False)
    + "containerStatuses:\n{{ range .spec.containers }}"
    + _ENDED
    + "{{ end }}\n{{ if .spec.initContainers }}\ninitContainerStatuses:\n"
    + "{{ range .spec.initContainers }}"
    + _ENDED
    + "{{ end }}\n{{ end }}\nphase: Succeeded\n"
)
