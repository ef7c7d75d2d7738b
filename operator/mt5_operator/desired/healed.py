# SPDX-License-Identifier: Apache-2.0
"""What healing changes in an account's pod: a profile that begins empty, and nodes to keep off."""

from __future__ import annotations

import copy
from typing import Any, Final

from mt5_operator import names
from mt5_operator.desired.containers import restricted
from mt5_operator.desired.manifest import sealed
from mt5_operator.healing import Budget
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Manifest

_PROFILE: Final = "terminal"
# Journal and profiles share the volume: only what is called like an old profile goes.
_TIDY: Final = (
    "import pathlib, shutil, sys; keep = sys.argv[1]; "
    "[shutil.rmtree(p, ignore_errors=True) for p in pathlib.Path('/volume').glob('terminal*')"
    " if p.name != keep]"
)


def healed(manifest: Manifest, spent: Budget, platform: Platform) -> Manifest:
    """Return the StatefulSet with what was learned; unchanged for an account that never fell."""
    if not spent.profile and not spent.avoid:
        return manifest
    found = copy.deepcopy(manifest)
    pod = found["spec"]["template"]["spec"]
    if spent.avoid:
        pod["affinity"] = {"nodeAffinity": _elsewhere(spent.avoid)}
    if spent.profile and found["spec"].get("volumeClaimTemplates"):
        _clean(pod, f"{_PROFILE}-{spent.profile}", platform)
    return sealed(found)


def _elsewhere(nodes: tuple[str, ...]) -> dict[str, Any]:
    # A wish, no demand: where there is no other node, this one is better than none.
    not_there = {"key": names.HOSTNAME_LABEL, "operator": "NotIn", "values": sorted(nodes)}
    wish = {"weight": 100, "preference": {"matchExpressions": [not_there]}}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}


def _clean(pod: Manifest, profile: str, platform: Platform) -> None:
    for mount in pod["containers"][0]["volumeMounts"]:
        if mount.get("subPath") == _PROFILE:
            mount["subPath"] = profile
    sidecar = pod["initContainers"][0]
    tidy = {
        "name": "tidy-profiles",
        "image": sidecar["image"],
        "imagePullPolicy": sidecar["imagePullPolicy"],
        "command": ["python", "-c", _TIDY, profile],
        "resources": sidecar["resources"],
        "volumeMounts": [{"name": names.DATA, "mountPath": "/volume"}],
        **restricted(platform),
    }
    pod["initContainers"] = [tidy, *pod["initContainers"]]
