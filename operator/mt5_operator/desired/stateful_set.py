# SPDX-License-Identifier: Apache-2.0
"""The StatefulSet of one slot of an account."""

from __future__ import annotations

from typing import Any, Final

from mt5_operator import names
from mt5_operator.desired.containers import sidecar, terminal
from mt5_operator.desired.manifest import owned_metadata, sealed
from mt5_operator.desired.template import shape_id, template_id
from mt5_operator.desired.volumes import claim_templates, volumes
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform, Priority
from mt5_operator.spec.parse import Account, Manifest

_MORE_THAN_NODES: Final = 2**31 - 1
USER: Final = 65532  # "nonroot", as distroless images number it


def stateful_set(
    account: Account,
    platform: Platform,
    slot: str,
    settings: Settings,
    *,
    replicas: int = 1,
    selector: dict[str, str] | None = None,
) -> Manifest:
    """Return the StatefulSet that gives a slot its pod.

    One that is there keeps its `selector`: an earlier version made it without the account's uid.
    """
    name, labels = account.key.name, names.slot_labels(account.key.name, slot)
    told = {
        names.TEMPLATE: template_id(account, platform, settings),
        names.SHAPE: shape_id(account, platform, settings),
    }
    spec: Manifest = {
        "replicas": replicas,
        "serviceName": names.stateful_set(name, slot),
        # Otherwise a pod that never becomes ready is never replaced by a better one.
        "podManagementPolicy": "Parallel",
        # The operator moves the account to its other slot instead; a template that is changed here
        # is for the slot's next pod.
        "updateStrategy": {"type": "OnDelete"},
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector or names.selector(name, slot, account.uid)},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        "template": {
            "metadata": {
                "labels": labels | {names.ACCOUNT_UID_LABEL: account.uid},
                "annotations": told | names.STAYS,
            },
            "spec": pod_spec(account, platform, slot, settings),
        },
    }
    if claims := claim_templates(account):
        spec["volumeClaimTemplates"] = claims
    return sealed(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": owned_metadata(account, names.stateful_set(name, slot), labels),
            "spec": spec,
        }
    )


def pod_spec(account: Account, platform: Platform, slot: str, settings: Settings) -> Manifest:
    """Return the pod: the terminal, and a sidecar that outlives it."""
    return {
        "os": {"name": platform.value.lower()},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s(account, settings),
        "initContainers": [sidecar(account, platform, slot, settings)],
        "containers": [terminal(account, platform, settings)],
        "volumes": volumes(account),
        **node_choice(platform, settings),
        **_cap(platform, settings),
        **_priority(account, settings),
        **pod_security(platform),
        **pull_secrets(settings),
    }


def _cap(platform: Platform, settings: Settings) -> dict[str, Any]:
    windows = platform is Platform.WINDOWS
    most = settings.windows_accounts_per_node if windows else settings.linux_accounts_per_node
    if not most:
        return {}
    # With fewer domains than `minDomains` the emptiest counts as 0, so that the skew of a node is
    # the number of accounts there: a cap. Source: KEP-3022.
    spread = {
        "maxSkew": most,
        "minDomains": _MORE_THAN_NODES,
        "topologyKey": names.HOSTNAME_LABEL,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": names.common_labels()},
    }
    return {"topologySpreadConstraints": [spread]}


def _priority(account: Account, settings: Settings) -> dict[str, Any]:
    vip = account.spec.priority is Priority.VIP
    name = settings.priority_class_vip if vip else settings.priority_class_standard
    return {"priorityClassName": name} if name else {}


def node_choice(platform: Platform, settings: Settings) -> dict[str, Any]:
    """Return which nodes a pod of a platform may go to."""
    windows = platform is Platform.WINDOWS
    selector = settings.windows_node_selector if windows else settings.linux_node_selector
    tolerations = settings.windows_tolerations if windows else settings.linux_tolerations
    place: dict[str, Any] = {"nodeSelector": {names.OS_LABEL: platform.value.lower()} | selector}
    return place | ({"tolerations": tolerations} if tolerations else {})


def pod_security(platform: Platform) -> dict[str, Any]:
    """Return the security of a pod as a whole."""
    if platform is Platform.WINDOWS:
        return {"securityContext": {"windowsOptions": {"runAsUserName": "ContainerUser"}}}
    context = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {"securityContext": context}


def grace_s(account: Account, settings: Settings) -> int:
    """Return how long an account's pod may take to end, in seconds."""
    simulated = account.spec.simulated
    return settings.simulator_termination_grace_s if simulated else settings.termination_grace_s


def pull_secrets(settings: Settings) -> dict[str, Any]:
    """Return who may pull the images."""
    secrets = [{"name": name} for name in settings.image_pull_secrets]
    return {"imagePullSecrets": secrets} if secrets else {}
