# SPDX-License-Identifier: Apache-2.0
"""Accounts for tests that need no cluster."""

from __future__ import annotations

from typing import Any

from mt5_operator.spec.parse import Account, account


def manifest(name: str = "demo", **spec: Any) -> dict[str, Any]:
    """Return an account as the API server returns it."""
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "generation": 3,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-21T10:00:00Z",
        },
        "spec": {
            "login": 10001,
            "server": "Simulator-Demo",
            "credentialsSecretRef": {"name": "password"},
            **spec,
        },
    }


def parsed(name: str = "demo", **spec: Any) -> Account:
    """Return the same, read."""
    return account(manifest(name, **spec))
