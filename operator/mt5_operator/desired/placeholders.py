# SPDX-License-Identifier: Apache-2.0
"""Pods that hold places for accounts to come: as big as an account, and first to go."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mt5_operator import names
from mt5_operator.desired.containers import restricted, sidecar_image
from mt5_operator.desired.manifest import sealed
from mt5_operator.desired.quantity import canonical, total
from mt5_operator.desired.stateful_set import node_choice, pod_security, pull_secrets
from mt5_operator.settings import Quantities, Settings
from mt5_operator.sharding import suffix
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Manifest


def placeholders(
    platform: Platform,
    count: int,
    *,
    full: Collection[str],
    owner: Manifest | None,
    settings: Settings,
) -> Manifest:
    """Return the Deployment that keeps `count` places warm, none of them on a `full` node."""
    labels = names.placeholder_labels(platform.value + suffix(settings))
    owners = [_owner(owner)] if owner else []
    return sealed(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": name(platform, settings),
                "namespace": settings.namespace,
                "labels": labels,
                **({"ownerReferences": owners} if owners else {}),
            },
            "spec": {
                "replicas": count,
                "revisionHistoryLimit": 0,
                # A changed placeholder first finds its new place: the buffer never shrinks.
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": _pod(platform, full, settings),
                },
            },
        }
    )


def name(platform: Platform, settings: Settings) -> str:
    """Return the name of our shard's placeholders of a platform."""
    return names.placeholders(platform) + suffix(settings)


def _pod(platform: Platform, full: Collection[str], settings: Settings) -> Manifest:
    image, command = settings.placeholder_image_linux, settings.placeholder_command_linux
    if platform is Platform.WINDOWS:
        image, command = settings.placeholder_image_windows, settings.placeholder_command_windows
    container = {
        "name": "placeholder",
        # The sidecar's: every account needs it, so a place that is warm has it already.
        "image": image or sidecar_image(platform, settings),
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "resources": {"requests": _requests(platform, settings)},
        **restricted(platform),
    }
    return {
        "os": {"name": platform.value.lower()},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Who gets the place must not wait for who kept it.
        "terminationGracePeriodSeconds": 0,
        "priorityClassName": settings.priority_class_placeholder,
        "containers": [container],
        **node_choice(platform, settings),
        **pod_security(platform),
        **pull_secrets(settings),
        **_elsewhere(full),
    }


def _requests(platform: Platform, settings: Settings) -> Quantities:
    windows = platform is Platform.WINDOWS
    terminal = settings.windows_requests if windows else settings.linux_requests
    both = (settings.sidecar_requests, terminal)
    kinds = sorted({name for part in both for name in part})
    return {name: canonical(total(*(part.get(name, "0") for part in both))) for name in kinds}


def _elsewhere(full: Collection[str]) -> dict[str, Any]:
    if not full:
        return {}
    not_there = {"key": names.HOSTNAME_LABEL, "operator": "NotIn", "values": sorted(full)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [not_there]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


def _owner(owner: Manifest) -> Manifest:
    meta = owner["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": meta["name"],
        "uid": meta["uid"],
    }
