# SPDX-License-Identifier: Apache-2.0
"""The five criteria of the broker-compatibility test, each with its evidence in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mt5_operator.brokers.tally import Tally
from mt5_operator.spec.broker import Criterion, Name, State, Window

Found = tuple[State, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How a trial is judged: the broker's own numbers, or else the settings'."""

    duration_s: float
    min_uptime: float
    max_drops_per_hour: float
    judged_after_s: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What the criteria look at: a trial, and its accounts on Linux."""

    window: Window
    limits: Limits
    linux: Sequence[Tally]
    # Why Linux is suspected of being refused; empty if it is not.
    suspected: str = ""
    rejected: bool = False
    # The trial before this one was passed: what passed then stands until it fails.
    passed_before: bool = False

    @property
    def over(self) -> bool:
        """Tell whether accounts were watched for as long as a trial lasts."""
        return self.window.watched_seconds >= self.limits.duration_s


def criteria(
    sight: Sight, before: Mapping[Name, Criterion], now: datetime
) -> tuple[Criterion, ...]:
    """Return the five; one whose state did not change keeps its time."""
    return tuple(
        _dated(name, _kept(sight, look(sight), before.get(name)), before.get(name), now)
        for name, look in _LOOKS.items()
    )


def _kept(sight: Sight, found: Found, before: Criterion | None) -> Found:
    state, evidence = found
    stands = sight.passed_before and before is not None and before.state is State.PASSED
    return (State.PASSED, evidence) if stands and state is State.PENDING else found


def _dated(name: Name, found: Found, before: Criterion | None, now: datetime) -> Criterion:
    state, evidence = found
    same = before is not None and before.state is state and before.since is not None
    since = before.since if same and before else now
    return Criterion(name=name, state=state, evidence=evidence[:1024], since=since)


def _connects(sight: Sight) -> Found:
    connected = sum(bool(tally.last.evidence.logins) for tally in sight.linux)
    if connected or sight.window.logins:
        return State.PASSED, f"{connected} of {len(sight.linux)} accounts logged in on Linux"
    if not sight.linux:
        return State.PENDING, "no account was seen on Linux yet"
    reasons: Counter[str] = Counter()
    for tally in sight.linux:
        reasons.update(tally.last.evidence.reasons or {tally.last.reason or "Connecting": 1})
    told = ", ".join(f"{word} {times} times" for word, times in reasons.most_common(3))
    return State.PENDING, f"no log-in succeeded on Linux yet ({told}), which says nothing of Wine"


def _no_wine_rejection(sight: Sight) -> Found:
    if sight.rejected or sight.suspected:
        return (State.FAILED if sight.rejected else State.PENDING), sight.suspected
    return _so_far(sight, "no account was thrown out on Linux without another cause")


def _account_not_flagged(sight: Sight) -> Found:
    flagged = sum(tally.last.evidence.account_flagged for tally in sight.linux)
    if flagged:
        return State.FAILED, (
            f"{flagged} of {len(sight.linux)} accounts had trade rights on Linux and lost them:"
            " ask the broker; another platform does not give them back"
        )
    return _so_far(sight, "no account lost its trade rights on Linux")


def _valid_data(sight: Sight) -> Found:
    told = [tally.last.evidence.valid_data for tally in sight.linux]
    if bad := told.count(False):
        return State.FAILED, f"{bad} of {len(told)} accounts show numbers that make no sense"
    if good := told.count(True):
        return State.PASSED, f"account and ticks of {good} of {len(told)} accounts make sense"
    return State.PENDING, "no account and ticks were seen on Linux yet"


def _no_drops(sight: Sight) -> Found:
    window, limits = sight.window, sight.limits
    if window.observed_seconds < min(limits.judged_after_s, limits.duration_s):
        return State.PENDING, f"too early: {hours(window.observed_seconds)} watched"
    uptime = window.connected_seconds / window.observed_seconds
    per_hour = window.drops / (window.observed_seconds / 3600)
    told = (
        f"connected {uptime:.2%} of {hours(window.observed_seconds)} (at least"
        f" {limits.min_uptime:.2%}), {per_hour:.2f} lost links an hour (at most"
        f" {limits.max_drops_per_hour:g})"
    )
    if uptime < limits.min_uptime or per_hour > limits.max_drops_per_hour:
        return State.FAILED, told
    return (State.PASSED if sight.over else State.PENDING), told


def _so_far(sight: Sight, told: str) -> Found:
    if not sight.window.connected_seconds:
        return State.PENDING, "no account was connected on Linux yet"
    if sight.over:
        return State.PASSED, told
    return State.PENDING, f"{told} so far"


def hours(seconds: float) -> str:
    """Return a duration as a person says it."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


_LOOKS = {
    Name.CONNECTS: _connects,
    Name.NO_WINE_REJECTION: _no_wine_rejection,
    Name.ACCOUNT_NOT_FLAGGED: _account_not_flagged,
    Name.VALID_DATA: _valid_data,
    Name.NO_DROPS: _no_drops,
}
