# SPDX-License-Identifier: Apache-2.0
"""What is known of a broker after one more look at its accounts: a pure function.

The status that was written is all that is remembered, so a new leader goes on where the last
one stopped. docs/broker-compatibility.md draws the states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from mt5_operator.brokers import blame
from mt5_operator.brokers.blame import Facts, Held
from mt5_operator.brokers.criteria import Limits, Sight, criteria, hours
from mt5_operator.brokers.decision import ACCEPTED, accepted_at, at_the_end, decided
from mt5_operator.brokers.evidence import NOTHING, Counts
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
    held = blame.on_linux(status, facts, settings)
    verdict, reason, message = decided(status, held, limits, facts, settings)
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
        verdict, reason, message = at_the_end(status)
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


def _try_again(
    before: BrokerStatus, held: Held, facts: Facts, settings: Settings
) -> tuple[Tally, ...]:
    """Return who should begin afresh, on the platform on which the question is open."""
    if before.verdict is Verdict.REQUIRES_WINDOWS:
        return () if accepted_at(before) else blame.on_windows(before, facts, settings).try_again
    return () if before.moved_back_at else held.try_again


def _dated(status: BrokerStatus, verdict: Verdict, now: datetime) -> BrokerStatus:
    update: dict[str, object] = {"verdict": verdict}
    if verdict is not status.verdict or status.since is None:
        update["since"] = now
        if verdict in ACCEPTED:
            update["decided_at"] = now
        if status.verdict is Verdict.REQUIRES_WINDOWS:
            update |= {"moved_back_at": now, "window": Window(), "window_start": now}
    accepted = accepted_at(status)
    if verdict is Verdict.REQUIRES_WINDOWS and status.windows_accepted_at is None and accepted:
        update["windows_accepted_at"] = accepted
    return status.model_copy(update=update)


def _confidence(status: BrokerStatus, limits: Limits, accounts: int) -> str:
    passed = sum(item.state is State.PASSED for item in status.criteria)
    told = f"{passed}/{len(Name)} criteria, {accounts} accounts"
    if status.verdict is Verdict.REQUIRES_WINDOWS:
        return f"{told}, {'Windows accepted' if status.windows_accepted_at else 'unproven'}"
    watched = f"{hours(status.window.watched_seconds)}/{hours(limits.duration_s)}"
    return f"{told}, {watched}"
