# SPDX-License-Identifier: Apache-2.0
"""A container that ends again and again is told from one that starts, also while it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from mt5_operator.status.crash import FORGOTTEN_S, Crash, crash_seen

BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}
RUNS: dict[str, Any] = {"running": {"startedAt": "2026-11-21T10:05:30Z"}}
AT_S = datetime.fromisoformat("2026-11-21T10:05:00Z").timestamp()


def ended(*, began: str = "2026-11-21T10:04:50Z") -> dict[str, Any]:
    """Return a run that ended at 10:05:00."""
    last = {"reason": "Error", "exitCode": 1, "finishedAt": "2026-11-21T10:05:00Z"}
    return {"terminated": last | ({"startedAt": began} if began else {})}


def terminal(state: Any, last: Any = None, restarts: int = 0) -> dict[str, Any]:
    """Return the status of a container."""
    return {"name": "terminal", "state": state, "lastState": last or {}, "restartCount": restarts}


LOOPS = Crash("terminal", "Error (1)", AT_S)


@pytest.mark.parametrize(
    ("seen", "crash"),
    [
        # The first end of a container may be chance, and it is started again at once.
        (terminal(ended()), None),
        (terminal(RUNS, ended(), 1), None),
        # The loop, as the kubelet tells it one after the other.
        (terminal(ended(), ended(), 1), LOOPS),
        (terminal(BACK_OFF, ended(), 1), Crash("terminal", "Error (1)")),
        (terminal(RUNS, ended(), 2), LOOPS),
        (terminal(RUNS, ended(began=""), 2), LOOPS),
        (terminal(BACK_OFF), Crash("terminal", "")),
        # It ran for hours before: two ends, and no loop.
        (terminal(RUNS, ended(began="2026-11-21T07:00:00Z"), 2), None),
        (terminal({"waiting": {"reason": "ContainerCreating"}}), None),
    ],
)
def test_two_ends_in_a_short_time_are_a_loop(seen: dict[str, Any], crash: Crash | None) -> None:
    well = {"name": "sidecar", "state": RUNS, "restartCount": 0}

    assert crash_seen([well, seen]) == crash


def test_it_is_forgotten_when_the_container_has_run_for_long() -> None:
    assert LOOPS.left_s(AT_S + 1) == FORGOTTEN_S - 1
    assert LOOPS.left_s(AT_S + FORGOTTEN_S) == 0
    assert Crash("terminal", "").left_s(AT_S) == FORGOTTEN_S
