# SPDX-License-Identifier: Apache-2.0
"""Where the time of a start goes: the phases are read from what is there, and add up."""

import json
from datetime import datetime
from typing import Any

import pytest

from bench import phases

LOG = [
    {"event": "connection", "state": "AgentMissing", "timestamp": "2026-11-21T20:00:03.900Z"},
    {"event": "started", "timestamp": "2026-11-21T20:00:04.000Z"},
    {"event": "connection", "state": "TerminalStarting", "timestamp": "2026-11-21T20:00:06.000Z"},
    {"event": "connection", "state": "LoggingIn", "timestamp": "2026-11-21T20:00:06.500Z"},
    {"event": "connection", "state": "Connected", "timestamp": "2026-11-21T20:00:07.000Z"},
    {"event": "connection", "state": "LoggingIn", "timestamp": "2026-11-21T20:00:09.000Z"},
]
BEGAN_S = datetime.fromisoformat("2026-11-21T20:00:00Z").timestamp()


class Answers:
    """A cluster that has one account, whose containers' processes began 2 and 5 s after it."""

    def logs(self, *_: str) -> str:
        """Return the sidecar's log."""
        return "\n".join(map(json.dumps, LOG))

    def exec(self, _: str, __: object, *, container: str) -> str:
        """Return the time, how long the machine runs, and when process 1 began."""
        began = {"sidecar": 2, "terminal": 5}[container]
        return f"{BEGAN_S + 100}\n1100.0\n{(1000 + began) * 100}\n"

    def __call__(self, *_: str) -> str:
        """Return the scheduler's Event."""
        return json.dumps({"items": [{"eventTime": "2026-11-21T20:00:01.250000Z"}]})


def test_the_phases_of_a_start_are_told_in_order_and_add_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phases, "first_answer_s", lambda *_: BEGAN_S + 9)
    nothing: Any = None
    installation: Any = type("Installation", (), {"key": nothing})
    kubectl: Any = Answers()

    moments = phases.seen(installation, kubectl, "1", BEGAN_S + 8)

    took = phases.spans(BEGAN_S, moments)
    told = [1.25, 0.75, 2, 1, 1, 0.5, 0.5, 1, 1]
    assert [*took] == [*phases.PHASES]
    assert [*took.values()] == pytest.approx(told, abs=0.01)
    assert sum(took.values()) == pytest.approx(9)
    last = phases.findings([(BEGAN_S, moments)])[-1]
    assert last.value == pytest.approx(6.5)
