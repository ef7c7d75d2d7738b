# SPDX-License-Identifier: Apache-2.0
"""Every derived name, label and annotation, each in one place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from typing import Final, NamedTuple

GROUP: Final = "mt5bridge.io"
VERSION: Final = "v1alpha1"
KIND: Final = "MT5Account"
PLURAL: Final = "mt5accounts"
BROKER_KIND: Final = "MT5Broker"
BROKER_PLURAL: Final = "mt5brokers"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FINALIZER: Final = f"{GROUP}/route"
OS_LABEL: Final = "kubernetes.io/os"
ACCOUNT_LABEL: Final = f"{GROUP}/account"
SLOT_LABEL: Final = f"{GROUP}/slot"
ACCOUNT_UID_LABEL: Final = f"{GROUP}/account-uid"
TEMPLATE: Final = f"{GROUP}/template"
SHAPE: Final = f"{GROUP}/shape"
RESTART_AT: Final = f"{GROUP}/restart-at"
HASH: Final = f"{GROUP}/desired-hash"
CREDENTIALS_VERSION: Final = f"{GROUP}/credentials-version"
FILES_VERSION: Final = f"{GROUP}/files-version"
# Which account ids are kept for the namespaces of accounts that were deleted.
KEPT_IDS: Final = "mt5-bridge-kept-ids"
# On brokers that were made for an account: a hash of the account's namespace, as brokers are
# everybody's to read.
MADE_FOR: Final = f"{GROUP}/made-for"
REPROBE: Final = f"{GROUP}/reprobe"

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "mt5-bridge"
STATUS_MANAGER: Final = "mt5-bridge-status"
FILES_MANAGER: Final = "mt5-bridge-files"
ROUTES_MANAGER: Final = "mt5-bridge-routes"
SELECTOR: Final = f"{MANAGED_BY}={MANAGER}"

ACCESS: Final = "mt5-bridge-access"
BUDGET: Final = "mt5-bridge-accounts"
API_KEYS: Final = "mt5-bridge-api-keys"
OPERATOR_KEY: Final = "mt5-bridge-operator-key"
TOKEN_ISSUER: Final = "mt5-bridge-operator"  # noqa: S105 - a name

SLOTS: Final = ("a", "b")
# What the router takes out of a path; patterns, as the CRD's schema wants text.
ACCOUNT_ID_CHARACTER: Final = "[A-Za-z0-9_-]"
ACCOUNT_ID: Final = ACCOUNT_ID_CHARACTER + "{1,64}"

# What keeps Cluster Autoscaler and Karpenter from ending an account to save a node.
STAYS: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
HOSTNAME_LABEL: Final = "kubernetes.io/hostname"

API_PORT: Final = 8080
OPS_PORT: Final = 8081
# Of an account's volume, in its pod.
DATA: Final = "data"


class Key(NamedTuple):
    """What the queue and the caches know an object by. Cluster-scoped ones have no namespace."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def common_labels() -> dict[str, str]:
    """Return the labels of every object that is ours."""
    return {"app.kubernetes.io/name": "mt5-account", MANAGED_BY: MANAGER}


def labels(account: str) -> dict[str, str]:
    """Return the labels of every object of an account."""
    return common_labels() | {"app.kubernetes.io/instance": account, ACCOUNT_LABEL: account}


def slot_labels(account: str, slot: str) -> dict[str, str]:
    """Return the labels of what belongs to one slot of an account."""
    return labels(account) | {SLOT_LABEL: slot}


def selector(account: str, slot: str, uid: str) -> dict[str, str]:
    """Return what finds a slot's pod.

    The account's uid is in it because a selector is immutable: so the API server itself refuses
    to make a StatefulSet of an earlier account of this name into one of this account.
    """
    return {ACCOUNT_LABEL: account, SLOT_LABEL: slot, ACCOUNT_UID_LABEL: uid}


def stateful_set(account: str, slot: str) -> str:
    """Return the name of a slot's StatefulSet."""
    return f"{account}-{slot}"


def pod(account: str, slot: str) -> str:
    """Return the name of a slot's pod."""
    return f"{stateful_set(account, slot)}-0"


def volume_claim(pod: str) -> str:
    """Return the name of the claim that a StatefulSet makes for its pod."""
    return f"{DATA}-{pod}"


def account_key(pod: Key) -> Key:
    """Return the key of the account that a slot's pod, or its StatefulSet, belongs to."""
    return Key(pod.namespace, pod.name.removesuffix("-0").rpartition("-")[0])


def placeholders(platform: str) -> str:
    """Return the name of the Deployment that keeps places of a platform warm."""
    return f"mt5-bridge-warm-{platform.lower()}"


def placeholder_labels(platform: str) -> dict[str, str]:
    """Return the labels of placeholder pods; no watch of ours selects them."""
    return {
        "app.kubernetes.io/name": "mt5-placeholder",
        "app.kubernetes.io/instance": platform.lower(),
        MANAGED_BY: f"{MANAGER}-capacity",
    }


def account_files(account: str) -> str:
    """Return the name of the ConfigMap with what may change without a new pod."""
    return f"{account}-account"


def route_shard(number: int) -> str:
    """Return the name of the ConfigMap that holds one shard of the route table."""
    return f"mt5-routes-{number}"


def made_for(namespace: str) -> str:
    """Return what a broker bears that was made for an account of a namespace."""
    return hashlib.sha256(namespace.encode()).hexdigest()[:16]


def broker(server: str, *, taken: Container[str] = ()) -> str:
    """Return the name of the MT5Broker that is made for a server seen for the first time.

    The server's own name in lower case, where that is a valid name and free; otherwise what is
    left of it and a hash, so that two servers never share a name.
    """
    plain = server.casefold()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if stem == plain and stem not in taken:
        return stem
    digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
    return f"{stem}-{digest}".lstrip("-")
