# SPDX-License-Identifier: Apache-2.0
"""The two containers of an account's pod: sidecar and terminal."""

from __future__ import annotations

import math
from typing import Any, Final

from mt5_operator import names
from mt5_operator.desired.quantity import canonical
from mt5_operator.desired.volumes import sidecar_mounts, terminal_mounts
from mt5_operator.settings import Quantities, Settings
from mt5_operator.spec.account import Amounts, Platform
from mt5_operator.spec.parse import Account, Manifest

SIDECAR: Final = "sidecar"
TERMINAL: Final = "terminal"
# Restricted Pod Security; Windows knows none of it.
_RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def sidecar(account: Account, platform: Platform, slot: str, settings: Settings) -> Manifest:
    """Return the native sidecar: starts first, stops last."""
    return {
        "name": SIDECAR,
        "image": sidecar_image(platform, settings),
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "env": _sidecar_env(account, platform, slot, settings),
        "ports": [
            {"name": "http", "containerPort": names.API_PORT, "protocol": "TCP"},
            {"name": "ops", "containerPort": names.OPS_PORT, "protocol": "TCP"},
        ],
        **_probes(settings),
        "resources": _resources(settings.sidecar_requests, settings.sidecar_limits),
        "volumeMounts": sidecar_mounts(account),
        **restricted(platform),
    }


def terminal(account: Account, platform: Platform, settings: Settings) -> Manifest:
    """Return the container of agent and terminal, or of agent and simulator."""
    command = {"command": settings.agent_command} if _in_sidecar_image(account, settings) else {}
    return {
        "name": TERMINAL,
        "image": terminal_image(account, platform, settings),
        "imagePullPolicy": settings.image_pull_policy,
        **command,
        "env": _terminal_env(account, platform, settings),
        "resources": _terminal_resources(account, platform, settings),
        "volumeMounts": terminal_mounts(account),
        **restricted(platform),
    }


def sidecar_image(platform: Platform, settings: Settings) -> str:
    """Return the sidecar's image for `platform`."""
    windows = platform is Platform.WINDOWS
    return settings.sidecar_image_windows if windows else settings.sidecar_image


def terminal_image(account: Account, platform: Platform, settings: Settings) -> str:
    """Return the terminal's image; the simulator lives in the sidecar's, and there too."""
    if _in_sidecar_image(account, settings):
        return sidecar_image(platform, settings)
    windows = platform is Platform.WINDOWS
    return settings.terminal_image_windows if windows else settings.terminal_image_linux


def _sidecar_env(
    account: Account, platform: Platform, slot: str, settings: Settings
) -> list[Manifest]:
    fixed = {
        "ACCOUNT_ID": account.spec.id,
        "LOGIN": str(account.spec.login),
        "SERVER": account.spec.server,
        "PLATFORM": platform.value,
        "SLOT": slot,
        "NAMESPACE": account.key.namespace,
        "ACCOUNT_NAME": account.key.name,
        # Two slots of one account may run: only the operator says which one trades.
        "ORDER_SELF_ACTIVATE": "false",
    }
    told = [{"name": f"MT5_SIDECAR_{name}", "value": value} for name, value in fixed.items()]
    pod = [_downward("MT5_SIDECAR_POD_NAME", "name"), _downward("MT5_SIDECAR_POD_UID", "uid")]
    return told + pod + _extra(settings.sidecar_env)


def _extra(env: dict[str, str]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in env.items()]


def _downward(name: str, field: str) -> Manifest:
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.{field}"}}
    return {"name": name, "valueFrom": source}


def _terminal_env(account: Account, platform: Platform, settings: Settings) -> list[Manifest]:
    backend = "simulator" if account.spec.simulated else "metatrader5"
    fixed = {
        "SIDECAR_ADDRESS": "127.0.0.1:8082",
        "TOKEN_FILE": "/run/mt5/agent/token",  # a path, and no token
        "BACKEND": backend,
        "PLATFORM": platform.value,
        "DATA_DIR": "/var/lib/mt5/terminal",
    }
    told = [{"name": f"MT5_AGENT_{name}", "value": value} for name, value in fixed.items()]
    return told + _extra(settings.agent_env)


def _in_sidecar_image(account: Account, settings: Settings) -> bool:
    return account.spec.simulated and not settings.simulator_in_terminal_image


def _terminal_resources(account: Account, platform: Platform, settings: Settings) -> Manifest:
    if _in_sidecar_image(account, settings):
        requests, limits = settings.simulator_requests, settings.simulator_limits
    elif platform is Platform.WINDOWS:
        requests, limits = settings.windows_requests, settings.windows_limits
    else:
        requests, limits = settings.linux_requests, settings.linux_limits
    own = account.spec.resources
    return _resources(requests | _given(own.requests), limits | _given(own.limits))


def _given(amounts: Amounts) -> Quantities:
    return {name: value for name, value in amounts.model_dump().items() if value is not None}


def _resources(requests: Quantities, limits: Quantities) -> Manifest:
    return {
        "requests": {name: canonical(value) for name, value in requests.items()},
        "limits": {name: canonical(value) for name, value in limits.items()},
    }


def _probes(settings: Settings) -> Manifest:
    timeout_s = settings.sidecar_probe_timeout_s
    # Its own loop only, never the broker: a bad night of a broker must not restart pods.
    start = _probe("/healthz", period_s=1, lasts_s=settings.sidecar_start_s, timeout_s=timeout_s)
    live = _probe("/healthz", period_s=10, lasts_s=settings.sidecar_hung_s, timeout_s=timeout_s)
    # No setting: who is connected is looked at once a minute because this tells what changed.
    ready = _probe("/readyz", period_s=2, lasts_s=4, timeout_s=timeout_s)
    return {"startupProbe": start, "livenessProbe": live, "readinessProbe": ready}


def _probe(path: str, *, period_s: int, lasts_s: int, timeout_s: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "ops", "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": timeout_s,
        "failureThreshold": math.ceil(lasts_s / period_s),
    }


def restricted(platform: Platform) -> dict[str, Any]:
    """Return the security of a container; Windows knows none of it."""
    return {} if platform is Platform.WINDOWS else {"securityContext": dict(_RESTRICTED)}
