# SPDX-License-Identifier: Apache-2.0
"""What fails `make bench-quick`, and what does not."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import gate
from bench.findings import Finding
from bench.rounds import Effort


def ratio(value: float) -> Finding:
    return Finding(target_id="P1", what="a read", value=value, throughput=value)


def memory(value: float) -> Finding:
    return Finding(target_id="P13", what="idle", value=value, unit="MB", sense="<=", target=60)


def test_a_ratio_may_fall_by_15_percent_and_no_further() -> None:
    assert gate.fallen([ratio(1.71)], {"P1 a read": 2.0}) == []
    assert gate.fallen([ratio(1.69)], {"P1 a read": 2.0}) == ["P1 a read: 1.69, recorded 2.00"]


def test_a_disturbed_median_does_not_fail_while_the_best_rounds_are_good() -> None:
    disturbed = Finding(target_id="P1", what="a read", value=1.0, throughput=1.0, best=1.9)

    assert gate.fallen([disturbed], {"P1 a read": 2.0}) == []


def test_a_ratio_that_nobody_recorded_is_told() -> None:
    assert "not recorded" in gate.fallen([ratio(9)], {})[0]


def test_absolute_figures_without_a_limit_are_never_held_against_anything() -> None:
    assert gate.fallen([memory(1000)], {}) == []
    assert gate.lowered([memory(1000)], {}) == {}


def test_a_figure_with_a_limit_is_held_to_it_and_never_recorded() -> None:
    limited = replace(memory(59.9), limit=60)

    assert gate.fallen([limited], {}) == []
    assert gate.fallen([replace(limited, value=60.1)], {}) == ["P13 idle: 60.1 MB, held to <= 60"]
    assert gate.lowered([limited], {}) == {}


def test_recording_only_lowers() -> None:
    assert gate.lowered([ratio(3)], {}) == {"P1 a read": 3}
    assert gate.lowered([ratio(3)], {"P1 a read": 2}) == {"P1 a read": 2}
    assert gate.lowered([ratio(1)], {"P1 a read": 2}) == {"P1 a read": 1}


def test_a_missed_target_is_one() -> None:
    assert memory(59).met is True
    assert memory(61).met is False
    assert ratio(1).met is None


@pytest.mark.parametrize(
    ("found", "status", "measurements"),
    [([2.0], 0, 1), ([1.0, 2.0], 0, 2), ([1.0, 1.0], 1, 2)],
    ids=["well", "noise", "fallen"],
)
async def test_a_fallen_ratio_is_measured_once_more_before_it_fails(
    monkeypatch: pytest.MonkeyPatch, found: list[float], status: int, measurements: int
) -> None:
    left = list(found)

    async def measure(folder: Path, effort: Effort) -> list[Finding]:
        return [ratio(left.pop(0))]

    monkeypatch.setattr(command, "ALL", {"reads": measure})
    monkeypatch.setattr(gate, "recorded", lambda: {"P1 a read": 2.0})

    assert await command.quick(["reads"], record=False) == status
    assert len(found) - len(left) == measurements
