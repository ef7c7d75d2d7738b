# SPDX-License-Identifier: Apache-2.0
"""What all our manifests share: metadata, the owner, and a hash of what we asked for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mt5_operator import names
from mt5_operator.spec.parse import Account, Manifest


def owned_metadata(account: Account, name: str, labels: dict[str, str]) -> Manifest:
    """Return the metadata of an object that ends with its account."""
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": account.key.name,
        "uid": account.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    namespace = account.key.namespace
    return {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]}


def sealed(manifest: Manifest) -> Manifest:
    """Return `manifest` with the hash of itself: so a field that we stop asking for is noticed."""
    meta = manifest["metadata"]
    annotations = meta.get("annotations", {}) | {names.HASH: digest(manifest)}
    return manifest | {"metadata": meta | {"annotations": annotations}}


def digest(value: Any) -> str:
    """Return a short hash of `value`, the same for equal values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
