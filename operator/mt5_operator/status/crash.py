# SPDX-License-Identifier: Apache-2.0
"""Does a container of a pod end again and again? Pure.

Between two ends it runs, and the kubelet says nothing of the one before: only its last run and
when that ended tell a crash from a start.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from mt5_operator.spec.parse import seconds

# Source: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle, "How Pods handle problems with
# containers": a kubelet forgets the ends of a container that has run for ten minutes.
# That is the kubelet's, and so no setting.
FORGOTTEN_S: Final = 600
_BACK_OFF: Final = "CrashLoopBackOff"


class Crash(NamedTuple):
    """Which container ended, how, and when (seconds since 1970; 0 for: it waits to be started)."""

    container: str
    how: str
    at_s: float = 0

    def left_s(self, now_s: float) -> float:
        """Return for how long it may still go on; 0: the container has come through."""
        return max(0.0, self.at_s + FORGOTTEN_S - now_s) if self.at_s else FORGOTTEN_S


def crash_seen(containers: list[dict[str, Any]]) -> Crash | None:
    """Return the first of `containers` (their statuses) that ended twice in a short time."""
    found = (_crash(each) for each in containers)
    return next((each for each in found if each), None)


def ended_by(container: dict[str, Any]) -> str:
    """Return how a container ended last: too little memory, say, is told by nothing else."""
    last = _last(container)
    return f"{last.get('reason')} ({last.get('exitCode')})" if last else ""


def _crash(container: dict[str, Any]) -> Crash | None:
    state, name = container.get("state", {}), container.get("name", "")
    if state.get("waiting", {}).get("reason") == _BACK_OFF:
        return Crash(name, ended_by(container))
    last = _last(container)
    times = container.get("restartCount", 0) + ("terminated" in state)
    if not last or times < 2 or not last.get("finishedAt"):
        return None
    at_s = seconds(last["finishedAt"])
    # It was started after an end, so a short life means two ends within that time.
    short = not last.get("startedAt") or at_s - seconds(last["startedAt"]) < FORGOTTEN_S
    return Crash(name, ended_by(container), at_s) if short else None


def _last(container: dict[str, Any]) -> dict[str, Any]:
    now, before = container.get("state", {}), container.get("lastState", {})
    found: dict[str, Any] = now.get("terminated") or before.get("terminated") or {}
    return found
