# SPDX-License-Identifier: Apache-2.0
"""What is known of a broker after one more look at its accounts: a pure function.

The status that was written is all that is remembered, so a new leader goes on where the last
one stopped. docs/broker-compatibility.md draws the states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from mt5_operator import names
from mt5_operator.brokers.criteria import Limits, Sight, criteria, hours
from mt5_operator.brokers.evidence import NOTHING, Counts
from mt5_operator.brokers.suspicion import Suspicion, healthy, suspicion
from mt5_operator.brokers.tally import Tally
from mt5_operator.reasons import Reason
from mt5_operator.settings import Settings
from mt5_operator.spec.account import BrokerCompatibility, Platform
from mt5_operator.spec.broker import (
    BrokerSpec,
    BrokerStatus,
    Criterion,
    Name,
    State,
    Verdict,
    Window,
)

_ACCEPTED = (Verdict.LINUX_COMPATIBLE, Verdict.REQUIRES_WINDOWS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a review looks at."""

    now: datetime
    linux: Sequence[Tally]
    windows: Sequence[Tally]
    windows_node: bool
    # Says whether a tally's node has a bad network: other brokers' accounts there are unwell too.
    bad_node: Callable[[Tally], bool] = lambda _: False
    reprobe: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The new status without conditions, and what it rests on."""

    status: BrokerStatus
    reason: Reason
    # One of these should begin afresh, to see whether it happens again; the first that may.
    try_again: tuple[Tally, ...] = ()


def review(before: BrokerStatus, spec: BrokerSpec, facts: Facts, settings: Settings) -> Reviewed:
    """Return what is known now."""
    limits = limits_of(spec, settings)
    status = _watched(_reprobed(before, facts), facts)
    held = _held_against(facts.linux, status.healthy_on_linux, facts, settings)
    verdict, reason, message = _decided(status, held, limits, facts, settings)
    if verdict is Verdict.UNKNOWN:  # a trial begins with the first log-in
        status = status.model_copy(update={"window": Window(), "window_start": None})
    known = {item.name: item for item in before.criteria}
    sight = Sight(
        status.window,
        limits,
        facts.linux,
        suspected=held.words if held.suspect else _kept(verdict, known),
        rejected=verdict is Verdict.REQUIRES_WINDOWS or held.proven,
        passed_before=before.verdict is Verdict.LINUX_COMPATIBLE,
    )
    found = criteria(sight, known, facts.now)
    status = status.model_copy(update={"criteria": list(found)})
    if sight.over and not held.proven and verdict is not Verdict.REQUIRES_WINDOWS:
        verdict, reason, message = _at_the_end(status)
    status = _dated(status, verdict, facts.now)
    if sight.over:  # the next trial begins: a broker is watched for as long as it has accounts
        status = status.model_copy(update={"window": Window(), "window_start": facts.now})
    # Who moved was heard on both platforms.
    accounts = len({tally.last.key for tally in (*facts.linux, *facts.windows)})
    status = status.model_copy(
        update={
            "message": message[:1024],
            "platform": platform_of(spec, status),
            "observed_accounts": accounts,
            "confidence": _confidence(status, limits, accounts),
        }
    )
    return Reviewed(status, reason, _try_again(before, held, facts, settings))


def _kept(verdict: Verdict, known: Mapping[Name, Criterion]) -> str:
    # The accounts are on Windows by now: what was seen on Linux stays told.
    item = known.get(Name.NO_WINE_REJECTION)
    return item.evidence if verdict is Verdict.REQUIRES_WINDOWS and item else ""


def limits_of(spec: BrokerSpec, settings: Settings) -> Limits:
    """Return a trial's limits: the broker's own, or else the settings'."""
    trial = spec.trial
    drops = trial.max_drops_per_hour
    return Limits(
        duration_s=trial.duration_s or settings.broker_trial_s,
        min_uptime=float(trial.min_uptime or settings.broker_min_uptime),
        max_drops_per_hour=settings.broker_max_drops_per_hour if drops is None else drops,
        judged_after_s=settings.broker_judged_after_s,
    )


def platform_of(spec: BrokerSpec, status: BrokerStatus) -> Platform:
    """Return where accounts of a broker start that leave it to us."""
    if spec.platform is not BrokerCompatibility.AUTO:
        return Platform(spec.platform.value)
    requires = status.verdict is Verdict.REQUIRES_WINDOWS
    return Platform.WINDOWS if requires else Platform.LINUX


def _reprobed(before: BrokerStatus, facts: Facts) -> BrokerStatus:
    if facts.reprobe == before.reprobe:
        return before
    if not facts.reprobe:
        return before.model_copy(update={"reprobe": ""})
    return BrokerStatus(reprobe=facts.reprobe[:256])


def _watched(before: BrokerStatus, facts: Facts) -> BrokerStatus:
    news = [tally.news for tally in facts.linux]
    came = reduce(Counts.__add__, news, NOTHING)
    window = before.window
    window = Window(
        watched_seconds=window.watched_seconds + max((n.observed_s for n in news), default=0),
        observed_seconds=window.observed_seconds + came.observed_s,
        connected_seconds=window.connected_seconds + came.connected_s,
        logins=window.logins + came.logins,
        drops=window.drops + came.drops,
    )
    begun = before.window_start or (facts.now if facts.linux else None)
    return before.model_copy(
        update={
            "window": window,
            "window_start": begun,
            "looked_at": facts.now,
            "healthy_on_linux": _healthy_at(facts.linux, before.healthy_on_linux),
            "healthy_on_windows": _healthy_at(facts.windows, before.healthy_on_windows),
        }
    )


def _healthy_at(tallies: Sequence[Tally], before: datetime | None) -> datetime | None:
    moments = [tally.healthy_at for tally in tallies if tally.healthy_at]
    return max([*moments, *([before] if before else [])], default=None)


@dataclass(frozen=True, slots=True)
class _Held:
    """What is held against a platform, over all of a broker's accounts there."""

    suspect: bool = False
    proven: bool = False
    words: str = ""
    try_again: tuple[Tally, ...] = ()


def _held_against(
    tallies: Sequence[Tally], healthy_at: datetime | None, facts: Facts, settings: Settings
) -> _Held:
    found = [(suspicion(tally, settings, facts.now), tally) for tally in tallies]
    suspects = [(held, tally) for held, tally in found if held.pattern]
    if not suspects:
        return _Held()
    again = sorted(
        (tally for _, tally in suspects if not tally.start_counts),
        key=lambda tally: (-tally.proven_starts, tally.last.key),
    )
    held, _ = max(suspects, key=lambda one: (one[0].proven, one[0].starts, one[0].lasts_s))
    told = _told(held, len(suspects), len(tallies))
    if words := _acquitted(tallies, suspects, healthy_at, facts, settings):
        return _Held(words=f"{told}; but {words}")
    # Who was started afresh must first show whether it happens again.
    enough = held.starts >= settings.broker_fresh_starts
    return _Held(
        suspect=True,
        proven=held.proven,
        words=told,
        try_again=() if enough else tuple(again),
    )


def _acquitted(
    tallies: Sequence[Tally],
    suspects: Sequence[tuple[Suspicion, Tally]],
    healthy_at: datetime | None,
    facts: Facts,
    settings: Settings,
) -> str:
    """Return why the platform is not to blame for what these accounts show; empty if it may be."""
    if any(healthy(tally, settings, facts.now) for tally in tallies):
        return "another account of this broker is stable there, so it is not the platform"
    recent = healthy_at and (facts.now - healthy_at).total_seconds() < settings.broker_healthy_s
    if recent:
        return "accounts of this broker were stable there in the last hours"
    if all(facts.bad_node(tally) for _, tally in suspects):
        return "accounts of other brokers on the same nodes are unwell too: the node's network"
    return ""


def _told(held: Suspicion, suspects: int, accounts: int) -> str:
    return (
        f"{suspects} of {accounts} accounts, never stable: {held.words}; for"
        f" {hours(held.lasts_s)}, again after {held.starts} fresh starts of the terminal"
    )


def _try_again(
    before: BrokerStatus, held: _Held, facts: Facts, settings: Settings
) -> tuple[Tally, ...]:
    """Return who should begin afresh, on the platform on which the question is open."""
    if before.verdict is Verdict.REQUIRES_WINDOWS:
        alike = _held_against(facts.windows, before.healthy_on_windows, facts, settings)
        return () if _accepted_at(before) else alike.try_again
    return () if before.moved_back_at else held.try_again


def _decided(
    status: BrokerStatus, held: _Held, limits: Limits, facts: Facts, settings: Settings
) -> tuple[Verdict, Reason, str]:
    if status.verdict is Verdict.REQUIRES_WINDOWS:
        return _on_windows(status, facts, settings)
    if held.proven:
        return _rejected(status, held, facts, settings)
    if status.verdict is Verdict.LINUX_COMPATIBLE:
        return status.verdict, Reason.BROKER_ACCEPTS_LINUX, status.message
    logged_in = status.window.logins or any(t.last.evidence.logins for t in facts.linux)
    if status.verdict is Verdict.UNKNOWN and not logged_in:
        return Verdict.UNKNOWN, Reason.NOT_TRIED_YET, "no account logged in on Linux yet"
    return Verdict.TESTING, *_trial(status, held, limits)


def _trial(status: BrokerStatus, held: _Held, limits: Limits) -> tuple[Reason, str]:
    if status.moved_back_at:
        return Reason.WINDOWS_FAILED_ALIKE, _NOT_THE_PLATFORM
    if held.words:
        reason = Reason.LINUX_SUSPECTED if held.suspect else Reason.TRIAL_RUNNING
        return reason, f"suspected on Linux: {held.words}"
    watched = f"{hours(status.window.watched_seconds)} of {hours(limits.duration_s)}"
    return Reason.TRIAL_RUNNING, f"accounts are watched on Linux: {watched}"


def _rejected(
    status: BrokerStatus, held: _Held, facts: Facts, settings: Settings
) -> tuple[Verdict, Reason, str]:
    here = status.verdict if status.verdict in _ACCEPTED else Verdict.TESTING
    if status.moved_back_at:
        told = f"suspected on Linux: {held.words}; {_NOT_THE_PLATFORM}"
        return Verdict.TESTING, Reason.WINDOWS_FAILED_ALIKE, told
    alike = _held_against(facts.windows, status.healthy_on_windows, facts, settings)
    if alike.suspect:
        told = f"Linux: {held.words}; but Windows is refused alike: {alike.words}"
        return here, Reason.WINDOWS_FAILED_ALIKE, told
    if not facts.windows_node:
        told = f"Linux: {held.words}; accounts stay, because no node can run Windows pods: add one"
        return here, Reason.NO_WINDOWS_NODE, told
    told = f"Linux refused: {held.words}; no other cause was found"
    return Verdict.REQUIRES_WINDOWS, Reason.BROKER_REQUIRES_WINDOWS, told


def _on_windows(
    status: BrokerStatus, facts: Facts, settings: Settings
) -> tuple[Verdict, Reason, str]:
    accepted_at = _accepted_at(status)
    alike = _held_against(facts.windows, status.healthy_on_windows, facts, settings)
    if alike.proven and not accepted_at:
        return (
            Verdict.TESTING,
            Reason.WINDOWS_FAILED_ALIKE,
            (f"moved back to Linux, because Windows failed alike: {alike.words}"),
        )
    told = status.message
    if accepted_at and not status.windows_accepted_at:
        told = f"{told}; Windows accepted at {accepted_at:%Y-%m-%dT%H:%M:%SZ}"
    return status.verdict, Reason.BROKER_REQUIRES_WINDOWS, told


def _at_the_end(status: BrokerStatus) -> tuple[Verdict, Reason, str]:
    bad = [item for item in status.criteria if item.state is not State.PASSED]
    if not bad:
        told = f"all criteria passed over {hours(status.window.watched_seconds)} on Linux"
        return Verdict.LINUX_COMPATIBLE, Reason.BROKER_ACCEPTS_LINUX, told
    told = "; ".join(f"{item.name.value}: {item.evidence}" for item in bad)
    reason = Reason.WINDOWS_FAILED_ALIKE if status.moved_back_at else Reason.TRIAL_RUNNING
    return Verdict.TESTING, reason, f"the last trial was not passed, another one runs: {told}"


def _dated(status: BrokerStatus, verdict: Verdict, now: datetime) -> BrokerStatus:
    update: dict[str, object] = {"verdict": verdict}
    if verdict is not status.verdict or status.since is None:
        update["since"] = now
        if verdict in _ACCEPTED:
            update["decided_at"] = now
        if status.verdict is Verdict.REQUIRES_WINDOWS:
            update |= {"moved_back_at": now, "window": Window(), "window_start": now}
    accepted = _accepted_at(status)
    if verdict is Verdict.REQUIRES_WINDOWS and status.windows_accepted_at is None and accepted:
        update["windows_accepted_at"] = accepted
    return status.model_copy(update=update)


def _accepted_at(status: BrokerStatus) -> datetime | None:
    if status.verdict is not Verdict.REQUIRES_WINDOWS or status.decided_at is None:
        return None
    at = status.healthy_on_windows
    return at if at and at >= status.decided_at else None


def _confidence(status: BrokerStatus, limits: Limits, accounts: int) -> str:
    passed = sum(item.state is State.PASSED for item in status.criteria)
    told = f"{passed}/{len(Name)} criteria, {accounts} accounts"
    if status.verdict is Verdict.REQUIRES_WINDOWS:
        return f"{told}, {'Windows accepted' if status.windows_accepted_at else 'unproven'}"
    watched = f"{hours(status.window.watched_seconds)}/{hours(limits.duration_s)}"
    return f"{told}, {watched}"


def meaning(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is worth a write at once: not counters, times and words."""
    told = {name: status.get(name) for name in _MEANING}
    told["criteria"] = [(item["name"], item["state"]) for item in status.get("criteria", [])]
    told["conditions"] = [
        # Who overlaps is what a person must mend; the others' words change with every look.
        (*(item[name] for name in ("type", "status", "reason")), item["message"])
        if item["type"] == "Overlapping"
        else (item["type"], item["status"], item["reason"])
        for item in status.get("conditions", [])
    ]
    return told


_MEANING = (
    "observedGeneration",
    "verdict",
    "platform",
    "since",
    "decidedAt",
    "windowsAcceptedAt",
    "movedBackAt",
    "reprobe",
    "reviewer",
)
_NOT_THE_PLATFORM = (
    "Windows failed as Linux did, so the platform is not the cause: look at the network, the"
    f" account and the broker; the annotation {names.REPROBE} allows another move"
)
