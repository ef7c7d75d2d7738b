# SPDX-License-Identifier: Apache-2.0
"""Keep evictions from ending a pod before its successor is there."""

from __future__ import annotations

from mt5_operator import names
from mt5_operator.spec.parse import Manifest


def budget(namespace: str) -> Manifest:
    """Return the PodDisruptionBudget of a namespace's accounts: none may be evicted.

    A cordoned node makes its accounts move, and that ends their pods without an eviction; one
    that is not ready anyway holds up nobody.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.BUDGET,
            "namespace": namespace,
            "labels": names.common_labels(),
        },
        "spec": {
            "maxUnavailable": 0,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.common_labels()},
        },
    }
