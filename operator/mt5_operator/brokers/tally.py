# SPDX-License-Identifier: Apache-2.0
"""One account on one platform, over all looks at its sidecar: is it being kicked, and for how long.

An *episode* is the time since the account was last steadily connected. Only within an episode
can a suspicion grow, and the first steady connection ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from mt5_operator.brokers.evidence import INNOCENT, NOTHING, Counts, Evidence, counts, more
from mt5_operator.names import Key
from mt5_operator.settings import Settings

# Clocks of a node and of ours, and whole milliseconds, may disagree by so much.
_SLACK = timedelta(seconds=1)
# Below it, a difference of two products is an error of rounding.
_A_MOMENT_S = 0.01


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the sidecar of an account; `uid` is its pod's."""

    key: Key
    uid: str
    at: datetime
    evidence: Evidence
    connected: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What all looks so far amount to."""

    last: Sample
    healthy_at: datetime | None = None
    # Of this episode; time in which the terminal only started is left out of it.
    total: Counts = NOTHING
    suspect_since: datetime | None = None
    recent_kicks: tuple[tuple[datetime, int], ...] = ()
    # Fresh starts of the terminal after which the same happened again, and what happened since
    # the last one.
    proven_starts: int = 0
    start_counts: bool = False
    since_start: Counts = NOTHING
    started_at: datetime | None = None
    # The last cause that another platform would not mend.
    innocent: str = ""
    innocent_at: datetime | None = None
    # What no review has added up yet.
    news: Counts = NOTHING

    def kicks(self, settings: Settings, now: datetime) -> int:
        """Return how often the account was kicked in the last `broker_kicks_window_s`."""
        begin = now - timedelta(seconds=settings.broker_kicks_window_s)
        return sum(times for at, times in self.recent_kicks if at >= begin)


def after(tally: Tally | None, sample: Sample, settings: Settings) -> Tally:
    """Return the tally with one more look."""
    if tally is None:
        return _first(sample, settings)
    began_anew = _began_anew(sample, tally.last)
    told = sample.evidence
    came = counts(told) if began_anew else more(told, tally.last.evidence)
    healthy = _latest(tally.healthy_at, told.last_healthy)
    tally = replace(tally, news=tally.news + came)
    if healthy != tally.healthy_at:
        tally = _recovered(tally, healthy)
        return replace(_innocence(tally, sample, began_anew=began_anew), last=sample)
    tally = _grown(tally, came, sample, settings)
    return replace(_innocence(tally, sample, began_anew=began_anew), last=sample)


def _recovered(tally: Tally, healthy_at: datetime | None) -> Tally:
    return Tally(
        tally.last,
        healthy_at=healthy_at,
        started_at=tally.started_at,
        innocent=tally.innocent,
        innocent_at=tally.innocent_at,
        news=tally.news,
    )


def _first(sample: Sample, settings: Settings) -> Tally:
    told = sample.evidence
    born = told.since
    started = born if told.fresh_starts == 1 else sample.at if told.fresh_starts else None
    tally = Tally(sample, healthy_at=told.last_healthy, started_at=started)
    if told.last_healthy is not None or not _troubled(counts(told), settings):
        return replace(tally, start_counts=told.fresh_starts > 0)
    # Never healthy since the sidecar began to count: all of it is one episode, whose
    # duration is counted from now on only.
    past = counts(told)
    proven = min(past.starts, _times(past, settings))
    return replace(
        tally,
        total=past,
        proven_starts=proven,
        suspect_since=sample.at,
        start_counts=proven < past.starts,
    )


def _grown(tally: Tally, came: Counts, sample: Sample, settings: Settings) -> Tally:
    now = sample.at
    begin = now - timedelta(seconds=settings.broker_kicks_window_s)
    recent = tuple((at, times) for at, times in tally.recent_kicks if at >= begin)
    if came.kicks:
        recent = (*recent, (now, came.kicks))
    tally = replace(tally, recent_kicks=recent)
    if came.starts:
        tally = replace(tally, start_counts=True, since_start=Counts(), started_at=now)
    tally = replace(tally, since_start=tally.since_start + came)
    tally = replace(tally, total=tally.total + _judged(came, tally.since_start))
    if tally.start_counts and _troubled(tally.since_start, settings):
        tally = replace(tally, start_counts=False, proven_starts=tally.proven_starts + 1)
    if tally.suspect_since is None and (came.kicks or came.unsynchronised_s):
        tally = replace(tally, suspect_since=now)
    return tally


def _judged(came: Counts, since_start: Counts) -> Counts:
    """Return what came, without the time before the first log-in since the terminal's start.

    A start takes minutes (Wine): each fresh one would make a bad line look more like a refusal.
    """
    let_in = since_start.logins or since_start.connected_s > _A_MOMENT_S
    return came if let_in else msgspec.structs.replace(came, observed_s=0)


def _troubled(happened: Counts, settings: Settings) -> bool:
    return _times(happened, settings) >= 1


def _times(happened: Counts, settings: Settings) -> int:
    kicked = happened.kicks // settings.broker_kicks
    waited = int(happened.unsynchronised_s // settings.broker_never_synchronised_s)
    return max(kicked, waited)


def _began_anew(sample: Sample, last: Sample) -> bool:
    """Tell whether a new pod lost what the one before it had counted: its record began anew."""
    now, before = sample.evidence.since, last.evidence.since
    if sample.uid == last.uid or now is None or before is None:
        return False
    # A record that was kept begins where it began, or, once it is a window long, a window ago.
    full = last.at - before >= timedelta(seconds=last.evidence.window_s) - _SLACK
    slid = sample.at - last.at if full else timedelta()
    return now - before > slid + _SLACK


def _innocence(tally: Tally, sample: Sample, *, began_anew: bool) -> Tally:
    before = {} if began_anew else tally.last.evidence.innocent
    new = [word for word, n in sample.evidence.innocent.items() if n > before.get(word, 0)]
    word = sample.reason if sample.reason in INNOCENT else next(iter(new), "")
    # A fresh pod has no agent for a moment: that says nothing of anybody.
    if not word or word == "AgentMissing":
        return tally
    return replace(tally, innocent=word, innocent_at=sample.at)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment), default=None)
