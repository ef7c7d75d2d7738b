# SPDX-License-Identifier: Apache-2.0
"""The objects that tests apply, and what they read of accounts."""

from __future__ import annotations

from typing import Any

from cluster.kubectl import Kubectl
from cluster.waiting import wait_for
from operator_cluster.circumstances import words

Manifest = dict[str, Any]


def account(name: str = "demo", *, login: int = 10001, **spec: Any) -> Manifest:
    """Return an account on the simulator; its Secret is called `password`."""
    return {
        "apiVersion": "mt5bridge.io/v1alpha1",
        "kind": "MT5Account",
        "metadata": {"name": name},
        "spec": {
            "login": login,
            "server": "Simulator-Demo",
            "credentialsSecretRef": {"name": "password"},
            **spec,
        },
    }


def secret(name: str = "password", **values: str) -> Manifest:
    """Return a Secret; with a password unless other values are given."""
    values = values or {"password": "correct"}
    meta = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values}


def condition(manifest: Manifest | None, kind: str = "Ready") -> Manifest:
    """Return a condition of an account; empty if it has none."""
    found = (manifest or {}).get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == kind), {})


def reason(kubectl: Kubectl, name: str = "demo", kind: str = "Ready") -> str:
    """Return the reason of an account's condition."""
    return str(condition(kubectl.get("mt5account", name), kind).get("reason", ""))


def await_reason(kubectl: Kubectl, wanted: str, name: str = "demo") -> Manifest:
    """Wait up to the promised 10 s until Ready has this reason; return the condition."""
    seen: list[Manifest] = []

    def look() -> Manifest | None:
        found = condition(kubectl.get("mt5account", name))
        seen[:] = [found]
        return found if found.get("reason") == wanted else None

    return wait_for(
        look,
        what=f"{name} to be {wanted}",
        timeout_s=10,
        hint=lambda: f"It is {seen}; {words()}",
    )
