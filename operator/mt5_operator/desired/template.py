# SPDX-License-Identifier: Apache-2.0
"""What a pod's template is made of, as one word: who has another one must move.

Made of what people set, never of what this version makes of it: so an operator upgrade alone
moves nobody. A setting at its default is left out, so that a new setting, or another default,
moves nobody either; both come with the pod's next template.
"""

from __future__ import annotations

from typing import Any

from mt5_operator.desired.manifest import digest
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account

_ALL = (
    "image_pull_policy",
    "image_pull_secrets",
    "sidecar_env",
    "agent_env",
    "sidecar_requests",
    "sidecar_limits",
)
_IN_SIDECAR_IMAGE = ("agent_command", "simulator_requests", "simulator_limits")
# In the pod, and yet no reason for anybody to move: where a pod may go, not what it is. A move
# would need more room than there is just when these are tightened. They come with the next pod,
# as does how patient its kubelet is.
WITH_NEXT_POD = (
    "linux_accounts_per_node",
    "windows_accounts_per_node",
    "priority_class_standard",
    "priority_class_vip",
    "sidecar_start_s",
    "sidecar_hung_s",
    "sidecar_probe_timeout_s",
)
# What a pod may get without another one, where the cluster resizes pods in place.
_AMOUNTS = ("requests", "limits")
_SIMULATED = ("simulator_in_terminal_image", "simulator_termination_grace_s")


def template_id(account: Account, platform: Platform, settings: Settings) -> str:
    """Return the word for the template that `account` should have."""
    names = _relevant(platform, simulated=account.spec.simulated, settings=settings)
    asked = _asked(account, platform)
    asked["resources"] = account.spec.resources.model_dump(exclude_none=True)
    return _word(asked, names, settings)


def shape_id(account: Account, platform: Platform, settings: Settings) -> str:
    """Return the word for all of the template but its resources.

    Pods of one shape become each other by a resize.
    """
    names = _relevant(platform, simulated=account.spec.simulated, settings=settings)
    fixed = [name for name in names if not name.endswith(_AMOUNTS)]
    return _word(_asked(account, platform), fixed, settings)


def _asked(account: Account, platform: Platform) -> dict[str, Any]:
    spec = account.spec
    return {
        "login": spec.login,
        "server": spec.server,
        "id": spec.id,
        "secret": spec.credentials_secret_ref.model_dump(),
        "storage": spec.storage.model_dump(exclude_none=True) if spec.storage else None,
        "platform": platform.value,
    }


def _word(asked: dict[str, Any], names: list[str], settings: Settings) -> str:
    return digest({"asked": asked, "set": {n: v for n in names if (v := _set(settings, n))}})


def _relevant(platform: Platform, *, simulated: bool, settings: Settings) -> list[str]:
    os = platform.value.lower()
    sidecar = "sidecar_image" if platform is Platform.LINUX else "sidecar_image_windows"
    found = [*_ALL, sidecar, f"{os}_node_selector", f"{os}_tolerations"]
    found += _SIMULATED if simulated else ["termination_grace_s"]
    if simulated and not settings.simulator_in_terminal_image:
        return [*found, *_IN_SIDECAR_IMAGE]
    return [*found, f"terminal_image_{os}", f"{os}_requests", f"{os}_limits"]


def _set(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    return None if value == type(settings).model_fields[name].default else [value]
