# SPDX-License-Identifier: Apache-2.0
"""What sidecars say of accounts at the test servers: a stub of `/internal/state` that knows the
platform of the pod it speaks for, and counts as docs/internals.md has it, only faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cluster.kubectl import Kubectl
from operator_cluster import sidecar_stub

KICK_EVERY_S = 0.2


@dataclass(frozen=True)
class Pod:
    """A pod for which the stub speaks."""

    account: str
    server: str
    platform: str
    begun_s: float

    @property
    def age_s(self) -> float:
        """Return for how long it speaks."""
        return time.time() - self.begun_s


Says = Callable[[Pod], dict[str, Any]]


def demo(pod: Pod) -> dict[str, Any]:
    """Connected, and always well."""
    return sidecar_stub.CONNECTED | {"evidence": _evidence(pod, healthy=True, logins=1)}


def wine_blocked(pod: Pod) -> dict[str, Any]:
    """Let in and thrown out on Linux; well on Windows."""
    return demo(pod) if pod.platform == "Windows" else blocked(pod)


def blocked(pod: Pod) -> dict[str, Any]:
    """Let in and thrown out everywhere."""
    kicks = int(pod.age_s / KICK_EVERY_S)
    told = _evidence(
        pod,
        uptime_ratio=0.4,
        logins=kicks,
        drops=kicks,
        authorised_then_lost=kicks,
        reasons={"PlatformRejected": kicks},
    )
    state = {"state": "Disconnected", "reason": "PlatformRejected", "credentials": "Valid"}
    return state | {"message": "thrown out", "evidence": told}


def bad_password(pod: Pod) -> dict[str, Any]:
    """Refused with words, once."""
    told = _evidence(pod, observed_s=0, logins_refused=1, reasons={"BadCredentials": 1})
    return sidecar_stub.BAD_CREDENTIALS | {"evidence": told}


def unreachable(pod: Pod) -> dict[str, Any]:
    """Never an answer."""
    tries = int(pod.age_s / KICK_EVERY_S)
    told = _evidence(pod, uptime_ratio=0, reasons={"BrokerUnreachable": tries})
    return {
        "state": "LoggingIn",
        "reason": "BrokerUnreachable",
        "message": "no connection",
        "evidence": told,
    }


def drops_link(pod: Pod) -> dict[str, Any]:
    """Connected for 17 s of every 20, here in fifths of a second: as many kicks as can be."""
    drops = int(pod.age_s / KICK_EVERY_S)
    told = _evidence(
        pod,
        uptime_ratio=0.85,
        logins=drops,
        drops=drops,
        authorised_then_lost=drops,
        reasons={"BrokerUnreachable": drops},
    )
    return sidecar_stub.CONNECTED | {"evidence": told}


SERVERS: dict[str, Says] = {
    "Simulator-Demo": demo,
    "Simulator-WineBlocked": wine_blocked,
    "Simulator-BadPassword": bad_password,
    "Simulator-Unreachable": unreachable,
    "Simulator-DropsLink": drops_link,
}


class StubBrokers:
    """Speaks for all pods of a namespace; `servers` may be changed by a test."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._pods: dict[str, Pod] = {}
        self.servers = dict(SERVERS)

    def __call__(self, uid: str) -> dict[str, Any]:
        """Return what the pod's sidecar says."""
        if uid not in self._pods:
            self._look()
        pod = self._pods.get(uid)
        if pod is None:
            return {"state": "TerminalStarting"}
        return self.servers[pod.server](pod)

    def _look(self) -> None:
        servers = {
            a["metadata"]["name"]: a["spec"]["server"] for a in self._kubectl.list("mt5accounts")
        }
        for pod in self._kubectl.list("pods"):
            name = pod["metadata"]["labels"].get("mt5bridge.io/account", "")
            if name in servers:
                platform = pod["spec"]["os"]["name"].capitalize()
                known = Pod(name, servers[name], platform, time.time())
                self._pods.setdefault(pod["metadata"]["uid"], known)


def _evidence(pod: Pod, *, healthy: bool = False, **counts: Any) -> dict[str, Any]:
    return {
        "platform": pod.platform,
        "window_s": 86400,
        "steady_s": 300,
        "since": _text(pod.begun_s),
        "observed_s": pod.age_s,
        "uptime_ratio": 1.0,
        "fresh_starts": 1,
        "logins": 0,
        "logins_refused": 0,
        "drops": 0,
        "authorised_then_lost": 0,
        "never_synchronised_s": 0,
        "worker_restarts": 0,
        "terminal_restarts": 0,
        "reasons": {},
        "account_flagged": False,
        "valid_data": True,
        "last_healthy": _text(time.time()) if healthy else None,
    } | counts


def _text(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat().replace("+00:00", "Z")
