# SPDX-License-Identifier: Apache-2.0
"""What comes to a sidecar's counters between two looks, over pods that come and go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_samples import BEGIN, SETTINGS
from mt5_operator.brokers.evidence import Counts, Evidence, more
from mt5_operator.brokers.tally import Sample, Tally, after
from mt5_operator.names import Key

TOLD = Evidence(
    platform="Linux",
    since=BEGIN,
    observed_s=100,
    uptime_ratio=0.5,
    fresh_starts=1,
    logins=10,
    drops=10,
    authorised_then_lost=10,
)
FIRST = Sample(Key("ns", "demo"), "pod-1", BEGIN + timedelta(seconds=100), TOLD)


def later(seconds: float, *, uid: str = "pod-1", before: Sample = FIRST, **told: object) -> Sample:
    evidence = msgspec.structs.replace(before.evidence, **told)
    return replace(before, uid=uid, at=before.at + timedelta(seconds=seconds), evidence=evidence)


def taken(*samples: Sample) -> Tally:
    tally: Tally | None = None
    for sample in samples:
        tally = after(tally, sample, SETTINGS)
    assert tally is not None
    return tally


def test_the_first_look_is_history_and_no_news() -> None:
    tally = taken(FIRST)

    assert tally.news == Counts()
    assert tally.total.kicks == 10
    assert tally.kicks(SETTINGS, FIRST.at) == 0
    assert tally.proven_starts == 1
    assert tally.suspect_since == FIRST.at


def test_what_comes_between_looks_is_news_and_what_is_forgotten_is_not() -> None:
    tally = taken(FIRST, later(60, observed_s=160, logins=13, authorised_then_lost=8))

    assert tally.news.observed_s == 60
    assert tally.news.logins == 3
    assert tally.news.kicks == 0


def test_a_pod_that_lost_its_record_begins_anew() -> None:
    born = FIRST.at + timedelta(seconds=5)
    anew = later(20, uid="pod-2", since=born, observed_s=15, logins=2, authorised_then_lost=2)

    tally = taken(FIRST, anew)

    assert tally.news.kicks == 2
    assert tally.news.observed_s == 15
    assert tally.total.kicks == 12
    assert tally.start_counts


def test_a_pod_that_kept_its_record_goes_on() -> None:
    kept = later(20, uid="pod-2", observed_s=115, fresh_starts=2, authorised_then_lost=12)

    tally = taken(FIRST, kept)

    assert tally.news.kicks == 2
    assert tally.news.starts == 1


def test_a_record_that_is_as_long_as_its_window_slides_and_does_not_begin_anew() -> None:
    day = timedelta(days=1)
    full = replace(FIRST, at=BEGIN + day)
    slid = later(60, uid="pod-2", before=full, since=BEGIN + timedelta(seconds=60), fresh_starts=2)

    assert taken(full, slid).news.kicks == 0


def test_a_steady_connection_ends_an_episode() -> None:
    kicked = later(60, authorised_then_lost=20)
    healthy = later(120, authorised_then_lost=20, last_healthy=BEGIN + timedelta(seconds=200))

    assert taken(FIRST, kicked).suspect_since is not None
    tally = taken(FIRST, kicked, healthy)

    assert tally.suspect_since is None
    assert tally.total == Counts()
    assert tally.proven_starts == 0
    assert tally.kicks(SETTINGS, healthy.at) == 0


def test_each_start_proves_itself_once() -> None:
    first = later(60, authorised_then_lost=15)
    again = later(120, authorised_then_lost=40)
    fresh = later(180, fresh_starts=2, authorised_then_lost=41)
    proven = later(240, fresh_starts=2, authorised_then_lost=46)

    assert taken(FIRST, first).proven_starts == 1
    assert taken(FIRST, first, again).proven_starts == 1
    assert taken(FIRST, first, again, fresh).start_counts
    assert taken(FIRST, first, again, fresh, proven).proven_starts == 2


def test_time_before_a_log_in_is_not_counted_against_the_line() -> None:
    born = FIRST.at + timedelta(seconds=5)
    none = {"logins": 0, "drops": 0, "authorised_then_lost": 0}
    starts = later(305, uid="pod-2", since=born, observed_s=300, uptime_ratio=0.0, **none)
    more_of_it = later(60, before=starts, observed_s=360)
    in_again = later(60, before=more_of_it, observed_s=420, uptime_ratio=0.1, logins=1)
    away = later(60, before=in_again, observed_s=480, uptime_ratio=0.0875)

    assert taken(FIRST, starts, more_of_it).total.observed_s == 100
    assert taken(FIRST, starts, more_of_it, in_again).total.observed_s == 160
    assert taken(FIRST, starts, more_of_it, in_again, away).total.observed_s == 220
    # The trial watched all of it: nobody was served meanwhile.
    assert taken(FIRST, starts, more_of_it, in_again, away).news.observed_s == 480


def test_a_connection_from_before_the_first_look_counts_without_another_log_in() -> None:
    tally = taken(FIRST, later(60, observed_s=160, uptime_ratio=0.6875))

    assert tally.total.observed_s == 160
    assert tally.total.connected_s == pytest.approx(110)


def test_another_cause_is_remembered_with_its_time() -> None:
    fault = later(60, reasons={"WineFault": 1})

    tally = taken(FIRST, fault, later(120, reasons={"WineFault": 1}))

    assert tally.innocent == "WineFault"
    assert tally.innocent_at == fault.at


@pytest.mark.parametrize(
    "text",
    [b'{"drops": 0, "logins": 1, "last_healthy": "2026-11-21T10:00:05.000Z"}', b"{}",
     b'{"platform": "Linux", "since": "2026-11-21T09:00:00.000Z", "new": [1]}'],
)  # fmt: skip
def test_sidecars_of_other_versions_are_understood(text: bytes) -> None:
    msgspec.json.decode(text, type=Evidence)


counters = st.integers(0, 1000)
records = st.builds(
    Evidence, observed_s=counters, uptime_ratio=st.floats(0, 1), fresh_starts=counters,
    drops=counters, authorised_then_lost=counters, never_synchronised_s=counters,
)  # fmt: skip


@given(records, records)
def test_nothing_ever_comes_less_than_nothing(now: Evidence, before: Evidence) -> None:
    assert all(value >= 0 for value in msgspec.structs.astuple(more(now, before)))
