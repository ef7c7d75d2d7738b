# SPDX-License-Identifier: Apache-2.0
"""What a soak calls a leak, and what it does not."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import soak
from bench.percentiles import percentile
from bench.processes import anonymous_bytes, rss_bytes
from bench.trends import Course, drift_percent

MB = 1_000_000
MINUTES = 30


def course(
    *,
    memory: Callable[[int], float] = lambda _: 60 * MB,
    files_after: int = 70,
    cpu: Callable[[int], float] = lambda s: 0.3 * s,
) -> Course:
    """Return a sidecar of half an hour, seen once a second."""
    found = Course("sidecar", files_before=70, files_after=files_after)
    for second in range(MINUTES * 60):
        found.note(second, memory_bytes=int(memory(second)), cpu_s=cpu(second))
    return found


def missed(seen: Course) -> list[str]:
    """Return what a soak complains of."""
    found = soak.judged([seen], [0.01] * 1000, lost=0)
    return [finding.what for finding in found if not finding.met]


def test_a_sidecar_that_warms_up_and_breathes_leaks_nothing() -> None:
    breathing = course(
        memory=lambda s: 60 * MB - 20 * MB * max(0, 1 - s / 60) + MB * (s % 7 == 0),
    )

    assert missed(breathing) == []


@pytest.mark.parametrize(
    ("leaking", "named"),
    [
        (course(memory=lambda s: 60 * MB + 100_000 * s / 60), "sidecar: memory, growth"),
        (course(files_after=71), "sidecar: more open files"),
        (course(cpu=lambda s: 0.3 * s + 0.0001 * s * s), "sidecar: cost, drift"),
    ],
    ids=["100 kB a minute", "one socket", "ever dearer"],
)
def test_what_grows_slowly_is_named(leaking: Course, named: str) -> None:
    assert missed(leaking) == [named]


def test_listeners_that_were_hung_up_on_are_told() -> None:
    found = soak.judged([course()], [0.01] * 1000, lost=1)

    assert [finding.what for finding in found if not finding.met] == ["listeners lost"]


def test_memory_is_what_a_process_holds_and_not_the_files_that_it_has_mapped(
    tmp_path: Path,
) -> None:
    size = 32 * MB
    (tmp_path / "file").write_bytes(bytes(size))
    before = anonymous_bytes(os.getpid())

    with (
        (tmp_path / "file").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert sum(mapped[::4096]) == 0
        assert abs(anonymous_bytes(os.getpid()) - before) < size / 4
        assert rss_bytes(os.getpid()) > size
        held = bytearray(b"x") * size
        assert anonymous_bytes(os.getpid()) - before > size * 3 / 4
    assert len(held) == size


def test_drift_is_the_last_third_against_the_first_after_warming_up() -> None:
    assert drift_percent([9.0] * 25 + [1.0] * 50 + [1.5] * 25, 99) == pytest.approx(50)


def test_a_soak_that_is_too_short_says_so() -> None:
    with pytest.raises(ValueError, match="soak for longer"):
        drift_percent([1.0] * 4, 99)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(value) for value in range(1, 11)]

    assert [percentile(values, each) for each in (50, 95, 99, 100)] == [5, 10, 10, 10]
    assert percentile([3.0], 1) == 3
