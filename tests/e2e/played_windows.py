# SPDX-License-Identifier: Apache-2.0
"""A fake Windows node whose pods are played: by containers on the real node, told it is Windows.

KWOK runs nothing, and a kubelet on Linux refuses Windows pods. So each pod gets a double: its own
environment and volumes, in the Linux image. Its sidecar has the pod's uid, so that it takes only
the operator's words to that pod; and the pod gets its address, so that operator and router reach
it. Of Windows itself this shows nothing: what is different there is the simulator's broker alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cluster.kubectl import Kubectl, Manifest
from cluster.waiting import wait_for

# An image with this tag: on a fake node nothing happens to its pods by itself (cluster.kwok.Mode).
IMAGE_TAG = "stuck"
_ELSEWHERE = (
    *("os", "nodeName", "nodeSelector", "tolerations", "affinity", "priority"),
    "topologySpreadConstraints",
)
STARTS_S = 60.0


def play(kubectl: Kubectl, windows: Manifest, linux: Manifest) -> str:
    """Start the double of a Windows pod, made of what `linux` runs; return its address."""
    double = _double(windows, linux)
    kubectl.apply(double)
    name = double["metadata"]["name"]

    def address() -> str | None:
        found = kubectl.get("pod", name) or {}
        return str(found.get("status", {}).get("podIP", "")) or None

    return wait_for(address, what=f"an address of {name}", timeout_s=STARTS_S)


def let_be_ready(kubectl: Kubectl, windows: Manifest, address: str) -> None:
    """Wait until the double is Ready, and say so of the Windows pod, as its kubelet would."""
    kubectl.wait_for_ready("pod", _name(windows), timeout_s=STARTS_S)
    kubectl.patch("pod", windows["metadata"]["name"], {"status": _status(address)}, part="status")


def _name(windows: Manifest) -> str:
    return f"plays-{windows['metadata']['name']}"


def _double(windows: Manifest, linux: Manifest) -> Manifest:
    spec = {name: value for name, value in windows["spec"].items() if name not in _ELSEWHERE}
    for kind in ("initContainers", "containers"):
        spec[kind] = [
            _container(played, player, windows["metadata"])
            for played, player in zip(spec[kind], linux["spec"][kind], strict=True)
        ]
    spec["securityContext"] = linux["spec"]["securityContext"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _name(windows)}, "spec": spec}


def _container(played: Manifest, player: Manifest, pod: Mapping[str, Any]) -> Manifest:
    assert played["name"] == player["name"]
    taken = {name: player[name] for name in ("image", "securityContext")}
    return played | taken | {"env": [_told(entry, pod) for entry in played["env"]]}


def _told(entry: Manifest, pod: Mapping[str, Any]) -> Manifest:
    """Return an entry of the environment as the played pod would see it."""
    if "valueFrom" not in entry:
        return entry
    _, _, field = entry["valueFrom"]["fieldRef"]["fieldPath"].partition(".")
    return {"name": entry["name"], "value": pod[field]}


def _status(address: str) -> dict[str, Any]:
    kinds = ("Initialized", "ContainersReady", "Ready", "PodScheduled")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    met = {"status": "True", "lastTransitionTime": now}
    return {
        "phase": "Running",
        "startTime": now,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [met | {"type": kind} for kind in kinds],
    }
