# SPDX-License-Identifier: Apache-2.0
"""Tell whether there is a node for an account. Where it should run: `brokers.choice`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mt5_operator import names
from mt5_operator.settings import Settings, Tolerations
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Manifest


def no_capacity(wanted: Platform, nodes: Iterable[Manifest], settings: Settings) -> str:
    """Return what to do because no node can take pods of `wanted`; empty if one can."""
    windows = wanted is Platform.WINDOWS
    selector = settings.windows_node_selector if windows else settings.linux_node_selector
    tolerations = settings.windows_tolerations if windows else settings.linux_tolerations
    labels = {names.OS_LABEL: wanted.value.lower()} | selector
    if any(_takes(node, labels, tolerations) for node in nodes):
        return ""
    label = ",".join(f"{name}={value}" for name, value in labels.items())
    choice = " or set brokerCompatibility: Linux" if windows else ""
    return f"no {wanted.value} node ({label}) takes pods: add one{choice}"


# Those who take nodes away say so by a taint before they do.
_LEAVING: Final = ("ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted")


def leaving(node: Manifest) -> bool:
    """Tell whether a node is being emptied: cordoned, or about to be taken away."""
    spec = node.get("spec", {})
    taints = {taint["key"] for taint in spec.get("taints", [])}
    return bool(spec.get("unschedulable")) or not taints.isdisjoint(_LEAVING)


def _takes(node: Manifest, labels: dict[str, str], tolerations: Tolerations) -> bool:
    if not labels.items() <= node["metadata"].get("labels", {}).items():
        return False
    spec = node.get("spec", {})
    taints = [taint for taint in spec.get("taints", []) if taint["effect"] != "PreferNoSchedule"]
    tolerated = all(any(_tolerates(t, taint) for t in tolerations) for taint in taints)
    return not spec.get("unschedulable") and tolerated


def _tolerates(toleration: dict[str, Any], taint: dict[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same_key = toleration.get("key") == taint["key"]
    return bool(same_key and toleration.get("value", "") == taint.get("value", ""))
