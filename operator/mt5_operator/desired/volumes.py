# SPDX-License-Identifier: Apache-2.0
"""The volumes of an account's pod, and where its containers see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mt5_operator import names
from mt5_operator.desired.quantity import canonical, in_bytes
from mt5_operator.spec.parse import Account, Manifest

# Journal and terminal data are parts of one volume where the account has one.
_KEPT: Final = {"journal": "journal", "terminal-data": "terminal"}
_READ_ONLY: Final = ("credentials", "account", "access")
# volume, path
_SIDECAR: Final = (
    ("agent-token", "/run/mt5/agent"),
    ("credentials", "/run/mt5/credentials"),
    ("account", "/run/mt5/account"),
    ("access", "/run/mt5/access"),
    ("journal", "/var/lib/mt5/journal"),
    ("sidecar-tmp", "/tmp"),  # noqa: S108 - a volume of its own
)
_TERMINAL: Final = (
    ("agent-token", "/run/mt5/agent"),
    ("start-file", "/run/mt5/start"),
    ("terminal-data", "/var/lib/mt5/terminal"),
    ("terminal-tmp", "/tmp"),  # noqa: S108 - a volume of its own
)


def sidecar_mounts(account: Account) -> list[Manifest]:
    """Return what the sidecar sees; it alone sees the password."""
    return [_mount(account, volume, path) for volume, path in _SIDECAR]


def terminal_mounts(account: Account) -> list[Manifest]:
    """Return what the terminal's container sees."""
    mounts = [_mount(account, volume, path) for volume, path in _TERMINAL]
    return [mount | _token_is_read_only(mount) for mount in mounts]


def volumes(account: Account) -> list[Manifest]:
    """Return the pod's volumes; those that a claim template makes are not among them."""
    secret = account.spec.credentials_secret_ref
    found: list[Manifest] = [
        {"name": "agent-token", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {
            "name": "credentials",
            "secret": {
                "secretName": secret.name,
                "optional": True,
                "items": [{"key": secret.key, "path": "password"}],
                "defaultMode": 0o440,
            },
        },
        {"name": "account", "configMap": {"name": names.account_files(account.key.name)}},
        {"name": "access", "configMap": {"name": names.ACCESS, "optional": True}},
        {"name": "sidecar-tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        # The terminal's start file holds the password while it logs in: never on the node's disk.
        {"name": "start-file", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "terminal-tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    kept = [] if account.spec.storage else [{"name": name, "emptyDir": {}} for name in _KEPT]
    return found + kept


def claim_templates(account: Account) -> list[Manifest]:
    """Return the claim for the account's storage; none without `storage`."""
    if not (storage := account.spec.storage):
        return []
    class_name = storage.storage_class_name
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": canonical(storage.size)}},
        **({"storageClassName": class_name} if class_name else {}),
    }
    meta = {"name": names.DATA, "labels": names.labels(account.key.name)}
    return [{"metadata": meta, "spec": spec}]


def claimed(stateful_set: Manifest) -> str:
    """Return the size of the claim that a StatefulSet makes; empty without one."""
    templates = stateful_set.get("spec", {}).get("volumeClaimTemplates") or [{}]
    asked = templates[0].get("spec", {}).get("resources", {}).get("requests", {})
    return str(asked.get("storage", ""))


def with_claim(account: Account, size: str) -> Account:
    """Return `account` as if it asked for a claim of this size.

    A StatefulSet keeps its claim template for life: whatever else it may get, this one stays.
    """
    storage = account.spec.storage
    if storage is None or not size or in_bytes(size) == in_bytes(storage.size):
        return account
    kept = storage.model_copy(update={"size": size})
    return replace(account, spec=account.spec.model_copy(update={"storage": kept}))


def _mount(account: Account, volume: str, path: str) -> Manifest:
    mount: Manifest = {"name": volume, "mountPath": path}
    if volume in _READ_ONLY:
        mount["readOnly"] = True
    if account.spec.storage and volume in _KEPT:
        mount |= {"name": names.DATA, "subPath": _KEPT[volume]}
    return mount


def _token_is_read_only(mount: Manifest) -> Manifest:
    return {"readOnly": True} if mount["name"] == "agent-token" else {}
