# SPDX-License-Identifier: Apache-2.0
"""Volumes: every claim of our StorageClass gets a directory of the host.

kube-controller-manager's own host-path provisioner makes directories that only root may write,
and volumes for which kubelet ignores a pod's fsGroup. Ours are local volumes, for which it does
not; so pods without root can write, as on a real cluster's disks.
"""

from __future__ import annotations

import http.client
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cluster.api import Api, Refused

Manifest = dict[str, Any]
Action = Callable[[Mapping[str, Any]], None]

NAME: Final = "test-cluster/directories"
STORAGE_CLASS: Final[Manifest] = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": NAME,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}

# Set by Kubernetes when a claim waits for an external provisioner, and, for the binding mode
# WaitForFirstConsumer, when the pod has a node.
# Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
_PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
_SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"

_VOLUMES: Final = "/api/v1/persistentvolumes"
_CLAIMS: Final = "/api/v1/persistentvolumeclaims"
_WATCH_S: Final = 240
_RETRY_S: Final = 1.0


def volume(claim: Mapping[str, Any], *, root: Path) -> Manifest | None:
    """Return the volume for `claim`; None if it needs none of us, or not yet."""
    annotations = claim["metadata"].get("annotations", {})
    waits_for_us = annotations.get(_PROVISIONER) == NAME and _SELECTED_NODE in annotations
    if not waits_for_us or claim["spec"].get("volumeName"):
        return None
    name = f"pvc-{claim['metadata']['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: NAME}},
        "spec": {
            "storageClassName": claim["spec"]["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete",
            "accessModes": claim["spec"]["accessModes"],
            "capacity": claim["spec"]["resources"]["requests"],
            "claimRef": _reference(claim),
            "local": {"path": str(root / name)},
            "nodeAffinity": _ANY_NODE,
        },
    }


def abandoned(found: Mapping[str, Any]) -> bool:
    """Tell whether this volume is ours and its claim is gone."""
    annotations = found["metadata"].get("annotations", {})
    ours = annotations.get(_PROVISIONED_BY) == NAME
    return bool(ours and found["status"].get("phase") == "Released")


def run(api: Api, root: Path) -> None:
    """Give volumes to claims and take them back, for ever."""

    def provide(claim: Mapping[str, Any]) -> None:
        if wanted := volume(claim, root=root):
            _make(api, wanted)

    def take_back(found: Mapping[str, Any]) -> None:
        if abandoned(found):
            _remove(api, found)

    threading.Thread(target=_follow, args=(api, _VOLUMES, take_back), daemon=True).start()
    _follow(api, _CLAIMS, provide)


def _follow(api: Api, collection: str, act: Action) -> None:
    while True:
        try:
            _follow_once(api, collection, act)
        except (OSError, http.client.HTTPException, Refused) as error:
            print(f"trying again: {error}", file=sys.stderr, flush=True)
            time.sleep(_RETRY_S)


def _follow_once(api: Api, collection: str, act: Action) -> None:
    now = api.ask("GET", collection)
    for item in now["items"]:
        act(item)
    version = now["metadata"]["resourceVersion"]
    query = f"watch=1&timeoutSeconds={_WATCH_S}&resourceVersion={version}"
    for event in api.watch(f"{collection}?{query}"):
        if event["type"] == "ERROR":
            return  # too old a version: list again
        if event["type"] != "DELETED":
            act(event["object"])


def _make(api: Api, wanted: Manifest) -> None:
    path = Path(wanted["spec"]["local"]["path"])
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)  # whatever our umask is
    try:
        api.ask("POST", _VOLUMES, wanted)
    except Refused as error:
        if error.status != http.HTTPStatus.CONFLICT:  # made when we looked the last time
            raise


def _remove(api: Api, found: Mapping[str, Any]) -> None:
    shutil.rmtree(found["spec"]["local"]["path"], ignore_errors=True)
    try:
        api.ask("DELETE", f"{_VOLUMES}/{found['metadata']['name']}")
    except Refused as error:
        if error.status != http.HTTPStatus.NOT_FOUND:  # two looks at the same volume
            raise


def _reference(claim: Mapping[str, Any]) -> Manifest:
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }


# All nodes are on this host, so a volume follows its pod to any of them, as a network disk would.
_ANY_NODE: Final[Manifest] = {
    "required": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
        ]
    }
}


if __name__ == "__main__":
    run(Api(Path(sys.argv[1]), timeout_s=_WATCH_S + 30), Path(sys.argv[2]))
