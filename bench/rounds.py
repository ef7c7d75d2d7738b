# SPDX-License-Identifier: Apache-2.0
"""Rounds: everything that is compared is measured in turns, and of the rounds the median counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.burst import burst
from bench.load import Sample, Subject, load

Samples = dict[str, list[Sample]]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long a run takes."""

    rounds: int
    seconds: float
    """How long wrk loads."""
    listeners: Sequence[int]
    ticks: int
    burst_cpu_s: float = 0.0
    """Not 0: short bursts of so much CPU time of the server, instead of wrk."""


FULL = Effort(rounds=7, seconds=1, listeners=(100, 500), ticks=6)
QUICK = Effort(rounds=15, seconds=1, listeners=(100,), ticks=4, burst_cpu_s=0.08)


async def alternate(subjects: Sequence[Subject], effort: Effort) -> Samples:
    """Return a sample of each subject from each round; one more round before warms up."""
    samples: Samples = {subject.name: [] for subject in subjects}
    for number in range(effort.rounds + 1):
        # Every other round backwards: none is always the one after the heaviest.
        for subject in subjects[:: -1 if number % 2 else 1]:
            sample = await _sample(subject, effort)
            if number:
                samples[subject.name].append(sample)
    return samples


async def _sample(subject: Subject, effort: Effort) -> Sample:
    if effort.burst_cpu_s:
        return await burst(subject, server_cpu_s=effort.burst_cpu_s)
    return await load(subject, seconds=effort.seconds)


def _middle(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    return median(figure(sample) for sample in samples)


def _ratio(
    ours: Sequence[Sample], theirs: Sequence[Sample], figure: Callable[[Sample], float]
) -> float:
    pairs = zip(ours, theirs, strict=True)
    return median(figure(our) / figure(their) for our, their in pairs)


def per_s(samples: Samples, name: str) -> float:
    """Return requests a second."""
    return _middle(samples[name], lambda sample: sample.per_s)


def cpu_us(samples: Samples, name: str) -> float:
    """Return the server's microseconds of CPU for a request."""
    return 1e6 / _middle(samples[name], lambda sample: sample.per_cpu_s)


def throughput_ratio(samples: Samples, ours: str, theirs: str) -> float:
    """Return by how much more requests a second are answered, round by round."""
    return _ratio(samples[ours], samples[theirs], lambda sample: sample.per_s)


def best_cpu_ratio(samples: Samples, ours: str, theirs: str) -> float:
    """Return the same of each one's least disturbed round: neighbours only ever add time."""
    most = {name: max(sample.per_cpu_s for sample in samples[name]) for name in (ours, theirs)}
    return most[ours] / most[theirs]


def cpu_ratio(samples: Samples, ours: str, theirs: str) -> float:
    """Return by how much more requests a second of the server's core are answered."""
    return _ratio(samples[ours], samples[theirs], lambda sample: sample.per_cpu_s)
