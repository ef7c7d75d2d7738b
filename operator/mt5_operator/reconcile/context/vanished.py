# SPDX-License-Identifier: Apache-2.0
"""Whether a pod that might trade is gone for certain: asked of the API server, never of a cache.

A cache may be behind: that it holds no such pod says nothing. And an object that is gone says
nothing of its processes, if it was deleted by force: only the kubelet's word that all containers
have ended does, or a node that is known to be off, or one that has answered for longer since than
it needs to end them (docs/adr/077).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from mt5_operator.names import SLOTS, Key
from mt5_operator.reconcile.owned import pod_key
from mt5_operator.spec.parse import Manifest

_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"


@dataclass
class Ended:
    """The pod of each slot whose containers have all ended, by its kubelet's word."""

    _uids: dict[Key, str] = field(default_factory=dict)

    def hear(self, key: Key, pod: Manifest) -> None:
        """Take in what is told of a pod, its last word above all."""
        if has_ended(pod):
            self._uids[key] = pod["metadata"]["uid"]

    def has(self, key: Key, uid: str) -> bool:
        """Tell whether this pod has ended."""
        return self._uids.get(key) == uid

    def forget(self, account: Key) -> None:
        """Forget the pods of an account that is gone."""
        for slot in SLOTS:
            self._uids.pop(pod_key(account, slot), None)


@dataclass
class Gone:
    """Which accounts' traders are gone for certain, and for how long the others' nodes answer."""

    clock: Callable[[], float] = time.monotonic
    _certain: dict[Key, str] = field(default_factory=dict)
    _missed: dict[Key, str] = field(default_factory=dict)
    _since: dict[Key, tuple[str, float]] = field(default_factory=dict)

    def certain(self, account: Key) -> str:
        """Return the uid of the pod that is gone for certain; empty if none is known to be."""
        return self._certain.get(account, "")

    def prove(self, account: Key, uid: str) -> None:
        """Remember that a pod is gone for certain: it never comes back."""
        self.forget(account)
        self._certain[account] = uid

    def misses(self, account: Key, uid: str) -> bool:
        """Take in that the API server does not know a pod; tell whether that is news."""
        if self._missed.get(account) == uid:
            return False
        self._missed[account] = uid
        self._since.pop(account, None)
        return True

    def answered_s(self, account: Key, word: str) -> float:
        """Return for how long the node of a missing pod has answered without a break.

        `word` is another one for each time that it came back, and empty while it is silent.
        """
        before = self._since.get(account)
        if before is None or before[0] != word:
            before = self._since[account] = (word, self.clock())
        return self.clock() - before[1] if word else 0

    def forget(self, account: Key) -> None:
        """Forget an account that is gone."""
        for known in (self._certain, self._missed, self._since):
            known.pop(account, None)


def has_ended(pod: Manifest) -> bool:
    """Tell whether the kubelet said that all containers of a pod have ended, for good."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    over = status.get("phase") in ("Succeeded", "Failed")
    if "deletionTimestamp" not in pod["metadata"] and not over:
        return False  # they would be started again
    told = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    number = len(spec.get("initContainers", [])) + len(spec.get("containers", []))
    return 0 < number <= len(told) and all("terminated" in each.get("state", {}) for each in told)


def is_lost(node: Manifest) -> bool:
    """Tell whether a node does not answer, and nobody said that it is off."""
    return _UNREACHABLE in _taints(node) and _OUT_OF_SERVICE not in _taints(node)


def is_off(node: Manifest | None) -> bool:
    """Tell whether a node's pods run no more, whatever became of their objects."""
    return node is None or _OUT_OF_SERVICE in _taints(node)


def answers_since(node: Manifest) -> str:
    """Return since when a node's kubelet answers and can end containers; empty if it does not.

    A word to compare, and no time to reckon with: it is of another clock.
    """
    conditions: list[dict[str, Any]] = node.get("status", {}).get("conditions", [])
    ready = (each for each in conditions if each["type"] == "Ready" and each["status"] == "True")
    since = next((str(each.get("lastTransitionTime", "ever")) for each in ready), "")
    return "" if is_lost(node) else since


def _taints(node: Manifest) -> set[str]:
    return {taint["key"] for taint in node.get("spec", {}).get("taints") or []}
