# SPDX-License-Identifier: Apache-2.0
"""What a process does over time, and whether it goes somewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import linear_regression
from typing import Final, TypeVar

from bench.percentiles import percentile

T = TypeVar("T")
WARM_UP: Final = 0.25
"""The first part of a soak: caches fill, allocators find their size."""


@dataclass
class Course:
    """What was seen of one process, sample by sample."""

    name: str
    at_s: list[float] = field(default_factory=list)
    memory_bytes: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    files_before: int = 0
    files_after: int = 0
    """Open at a quiet moment, before and after the load: clients come and go in between."""

    def note(self, at_s: float, *, memory_bytes: int, cpu_s: float) -> None:
        """Add a sample."""
        self.at_s.append(at_s)
        self.memory_bytes.append(memory_bytes)
        self.cpu_s.append(cpu_s)

    def memory_growth_percent(self) -> float:
        """Return by how much memory grew after warming up, as its trend has it."""
        at_s, sizes = warm(self.at_s), warm(self.memory_bytes)
        trend = linear_regression(at_s, sizes)
        return trend.slope * (at_s[-1] - at_s[0]) / percentile(sizes, 50) * 100

    def memory_slope_bytes_per_min(self) -> float:
        """Return the same trend in bytes a minute."""
        return linear_regression(warm(self.at_s), warm(self.memory_bytes)).slope * 60

    def dearer_percent(self) -> float:
        """Return by how much more of a core the same load costs at the end."""
        early, _, late = thirds(warm(list(zip(self.at_s, self.cpu_s, strict=True))))
        return (_rate(late) / _rate(early) - 1) * 100


def drift_percent(values: Sequence[float], percent: float) -> float:
    """Return by how much a percentile is higher in the last third than in the first."""
    early, _, late = thirds(warm(values))
    return (percentile(late, percent) / percentile(early, percent) - 1) * 100


def warm(values: Sequence[T]) -> Sequence[T]:
    """Return what came after warming up."""
    return values[int(len(values) * WARM_UP) :]


def thirds(values: Sequence[T]) -> tuple[Sequence[T], Sequence[T], Sequence[T]]:
    """Return three parts of a length.

    Raises:
        ValueError: there are too few.
    """
    size = len(values) // 3
    if size < 2:
        raise ValueError("too few samples: soak for longer")
    return values[:size], values[size:-size], values[-size:]


def _rate(part: Sequence[tuple[float, float]]) -> float:
    (began_s, cpu_before_s), (ended_s, cpu_after_s) = part[0], part[-1]
    return (cpu_after_s - cpu_before_s) / (ended_s - began_s)
