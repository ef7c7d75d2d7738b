# SPDX-License-Identifier: Apache-2.0
"""Which claims get a volume, what kind, and when it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.provisioner import NAME, abandoned, volume

ROOT = Path("/volumes")


def claim(*, node: str = "node-0", provisioner: str = NAME, bound: str = "") -> dict[str, Any]:
    annotations = {"volume.kubernetes.io/storage-provisioner": provisioner}
    if node:
        annotations["volume.kubernetes.io/selected-node"] = node
    metadata = {"name": "data", "namespace": "a", "uid": "u-1", "resourceVersion": "7"}
    spec = {
        "storageClassName": "standard",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeName": bound,
    }
    return {"metadata": {**metadata, "annotations": annotations}, "spec": spec}


def test_a_claim_whose_pod_has_a_node_gets_a_directory() -> None:
    made = volume(claim(), root=ROOT)

    assert made is not None
    assert made["spec"]["local"] == {"path": "/volumes/pvc-u-1"}
    assert made["spec"]["claimRef"]["uid"] == "u-1"


def test_other_claims_get_none() -> None:
    assert volume(claim(node=""), root=ROOT) is None
    assert volume(claim(provisioner="other"), root=ROOT) is None
    assert volume(claim(bound="pvc-u-1"), root=ROOT) is None


def test_only_a_released_volume_of_ours_is_taken_back() -> None:
    ours = volume(claim(), root=ROOT) or {}
    theirs = {"metadata": {"name": "x"}, "status": {"phase": "Released"}}

    assert abandoned(ours | {"status": {"phase": "Released"}})
    assert not abandoned(ours | {"status": {"phase": "Bound"}})
    assert not abandoned(theirs)
