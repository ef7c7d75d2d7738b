# SPDX-License-Identifier: Apache-2.0
"""Where the time from `kubectl apply` to Ready goes, by the clocks of those who did it.

Conditions are told in whole seconds, so what is finer is read: the scheduler's Event, the beginning
of each container's first process, and the sidecar's log.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bench.findings import Finding
from bench.installed import first_answer_s
from bench.percentiles import percentile
from cluster.kubectl import Kubectl
from demo.installation import Installation

Moments = dict[str, float]
"""Each end of a phase, in seconds since 1970."""

PHASES: Final[Mapping[str, str]] = {
    "scheduled": "operator, StatefulSet and pod made, pod scheduled",
    "sidecar runs": "sandbox, network, volumes, sidecar's container",
    "sidecar listens": "sidecar's own start",
    "terminal runs": "startup probe seen, terminal's container",
    "agent up": "agent's own start",
    "terminal up": "terminal's own start",
    "logged in": "log-in and first synchronisation",
    "Ready": "operator's look, route and status written",
    "routed": "first 200 through the router",
}
ASKS_THE_BROKER: Final = "terminal up"
"""All before it could have been done for a pod that nobody had claimed yet."""

_STATES: Final = {
    "TerminalStarting": "agent up",
    "LoggingIn": "terminal up",
    "Connected": "logged in",
}
# Ticks of this kernel interface are 10 ms. Source: proc_pid_stat(5), field 22; proc_uptime(5).
_BEGINNING: Final = "date +%s.%N; cut -d' ' -f1 /proc/uptime; cut -d' ' -f22 /proc/1/stat"
_TICKS_PER_S: Final = 100


def seen(installation: Installation, kubectl: Kubectl, account_id: str, ready_s: float) -> Moments:
    """Return the moments of an account that has just become Ready."""
    routed_s = first_answer_s(installation, account_id, installation.key)
    pod = f"account-{account_id}-a-0"
    return {
        "scheduled": _scheduled_s(kubectl, pod),
        "sidecar runs": _began_s(kubectl, pod, "sidecar"),
        "terminal runs": _began_s(kubectl, pod, "terminal"),
        **_told(kubectl.logs(pod, "--container", "sidecar")),
        "Ready": ready_s,
        "routed": routed_s,
    }


def spans(began_s: float, moments: Moments) -> dict[str, float]:
    """Return how long each phase took, in seconds."""
    ends = [moments[name] for name in PHASES]
    begins = [began_s, *ends[:-1]]
    return {name: end - begin for name, begin, end in zip(PHASES, begins, ends, strict=True)}


def findings(starts: Sequence[tuple[float, Moments]]) -> list[Finding]:
    """Return a row for each phase of one account, and what of it needs no broker."""
    took = [spans(began_s, moments) for began_s, moments in starts]
    rows = [_row(name, what, [each[name] for each in took]) for name, what in PHASES.items()]
    unclaimed = [moments[ASKS_THE_BROKER] - began_s for began_s, moments in starts]
    rows.append(_row("before the broker is asked", "all up to `terminal up`", unclaimed))
    return rows


def _row(name: str, what: str, values_s: Sequence[float]) -> Finding:
    return Finding(
        target_id="P11",
        what=f"one account, median: {name}",
        value=percentile(values_s, 50),
        unit="s",
        beside=f"{what}; p95 {percentile(values_s, 95):.2f} s",
    )


def _told(log: str) -> Moments:
    """Return what the sidecar's log says of its start and of its first connection."""
    found: Moments = {}
    for line in log.splitlines():
        told = json.loads(line)
        begins = "sidecar listens" if told["event"] == "started" else ""
        if name := begins or _STATES.get(told.get("state", ""), ""):
            found.setdefault(name, _unix_s(told["timestamp"]))
    return found


def _scheduled_s(kubectl: Kubectl, pod: str) -> float:
    fields = f"involvedObject.name={pod},reason=Scheduled"
    listed = json.loads(kubectl("get", "events", "--field-selector", fields, "--output=json"))
    return _unix_s(listed["items"][0]["eventTime"])


def _began_s(kubectl: Kubectl, pod: str, container: str) -> float:
    told = kubectl.exec(pod, ["sh", "-c", _BEGINNING], container=container)
    now_s, uptime_s, ticks = map(float, told.split())
    return now_s - uptime_s + ticks / _TICKS_PER_S


def _unix_s(text: Any) -> float:
    return datetime.fromisoformat(text).timestamp()
