# SPDX-License-Identifier: Apache-2.0
"""The window of evidence: what it counts, what it forgets, and what it must never invent."""

import json
from typing import Any

import msgspec
import pytest

from mt5_agent.protocol import Evidence
from mt5_sidecar.domain.connection import LOGGED_OUT, SECRET_MISSING, Connection
from mt5_sidecar.domain.evidence import BUCKETS, EvidenceWindow, Record, Summary

WINDOW_S, STEADY_S = 960.0, 60.0
T0 = 1_790_000_000_000
UP = Connection(state="Connected")
DOWN = Connection(state="Disconnected", reason="BrokerUnreachable")


def record(**fields: Any) -> Record:
    return Record(login=1, server="S", platform="Linux", begun_ms=T0, **fields)


class Watched:
    """A window and its clock."""

    def __init__(self, remembered: Record | None = None) -> None:
        self.window = EvidenceWindow(remembered or record(), window_s=WINDOW_S, steady_s=STEADY_S)
        self.now_ms = T0
        self.epoch = "e1"

    def look(self, seen: Connection, *, for_s: int = 0, **counts: Any) -> bool:
        """Look once, and each second for `for_s` more."""
        seen = msgspec.structs.replace(seen, evidence=Evidence(**counts))
        counted = self.window.look(self.now_ms, seen, self.epoch)
        for _ in range(for_s):
            self.now_ms += 1000
            self.window.look(self.now_ms, seen, self.epoch)
        return counted

    @property
    def summary(self) -> Summary:
        return self.window.summary(self.now_ms, wants_ticks=True)


def test_counts_of_the_agent_are_added_once() -> None:
    watched = Watched()

    watched.look(UP, for_s=5, logins=1, terminal_starts=1)
    watched.look(DOWN, for_s=5, logins=1, terminal_starts=1, drops=2, reasons={"X": 2})

    seen = watched.summary
    assert (seen.logins, seen.fresh_starts, seen.drops, seen.reasons) == (1, 1, 2, {"X": 2})


def test_a_new_agent_counts_from_zero_and_an_old_one_that_comes_back_does_not() -> None:
    watched = Watched()
    watched.look(UP, logins=2, reasons={"X": 1})

    watched.look(DOWN)  # the same agent connected again, and said nothing yet
    watched.look(UP, logins=2, reasons={"X": 1})
    assert (watched.summary.logins, watched.summary.reasons) == (2, {"X": 1})

    watched.epoch = "e2"
    watched.look(UP, logins=1, reasons={"X": 1})
    assert (watched.summary.logins, watched.summary.reasons) == (3, {"X": 2})


def test_a_sidecar_that_waits_for_its_agent_forgets_nothing_and_counts_nothing_twice() -> None:
    before = Watched()
    before.look(UP, logins=3)
    kept = msgspec.json.decode(msgspec.json.encode(before.window.record), type=Record)

    after = Watched(kept)
    after.epoch = ""  # no agent yet
    after.look(Connection(state="AgentMissing"))
    after.epoch = "e1"
    after.look(UP, logins=4)

    assert after.summary.logins == 4


def test_uptime_is_the_share_of_what_was_watched() -> None:
    watched = Watched()

    watched.look(UP, for_s=30)
    watched.look(DOWN, for_s=10)

    assert watched.summary.observed_s == 40
    assert watched.summary.uptime_ratio == 0.75


@pytest.mark.parametrize(
    "nobody_wants_it",
    [
        Connection(state="Refused", reason="BadCredentials"),
        Connection(state="Disconnected", reason=LOGGED_OUT),
        Connection(state="TerminalStarting", reason=SECRET_MISSING),
    ],
)
def test_time_without_a_wanted_login_says_nothing_of_the_broker(
    nobody_wants_it: Connection,
) -> None:
    watched = Watched()

    watched.look(UP, for_s=10)
    watched.look(nobody_wants_it, for_s=100)

    assert (watched.summary.observed_s, watched.summary.uptime_ratio) == (10, 1.0)


def test_time_in_which_the_sidecar_was_down_was_not_watched() -> None:
    watched = Watched()
    watched.look(UP, for_s=10)

    watched.now_ms += 120_000
    watched.look(UP, for_s=10)

    assert watched.summary.observed_s == 20


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_clock_that_jumps_adds_no_uptime(jump_ms: int) -> None:
    watched = Watched()
    watched.look(UP, for_s=10)

    watched.now_ms += jump_ms
    watched.look(UP, for_s=5)

    assert watched.summary.observed_s <= 15
    assert 0 <= watched.summary.uptime_ratio <= 1


def test_the_window_forgets_and_stays_small() -> None:
    watched = Watched()
    watched.look(DOWN, drops=7, reasons={"X": 7})

    watched.look(UP, for_s=int(WINDOW_S) + 20, drops=7, reasons={"X": 7})

    seen = watched.summary
    assert (seen.drops, seen.reasons, seen.uptime_ratio) == (0, {}, 1.0)
    assert seen.begin_ms == watched.now_ms - WINDOW_S * 1000
    assert len(watched.window.record.buckets) <= BUCKETS + 1
    assert len(json.dumps(msgspec.to_builtins(watched.window.record))) < 20_000


def test_healthy_is_who_stayed_connected() -> None:
    watched = Watched()

    watched.look(UP, for_s=int(STEADY_S) - 1)
    assert watched.summary.last_healthy_ms == 0
    watched.look(UP, for_s=1)
    healthy_ms = watched.summary.last_healthy_ms
    assert healthy_ms == watched.now_ms

    watched.look(DOWN, for_s=5)
    assert watched.summary.last_healthy_ms == healthy_ms


def test_an_account_that_is_kicked_again_and_again_was_never_healthy() -> None:
    watched = Watched()

    for kick in range(20):
        watched.look(UP, for_s=30, drops=kick)
        watched.look(DOWN, for_s=2, drops=kick + 1)

    assert watched.summary.last_healthy_ms == 0
    assert watched.summary.drops == 20


def test_a_kick_between_two_looks_ends_the_steadiness_too() -> None:
    watched = Watched()

    for kick in range(20):
        watched.look(UP, for_s=30, drops=kick)  # connected at each look

    assert watched.summary.last_healthy_ms == 0


def test_flagged_is_who_had_rights_and_lost_them() -> None:
    investor, trader = Watched().window, Watched().window

    investor.note_rights(allowed=False)
    trader.note_rights(allowed=True)
    trader.note_rights(allowed=False)
    trader.note_rights(allowed=False)

    assert not investor.summary(T0, wants_ticks=True).account_flagged
    assert trader.summary(T0, wants_ticks=True).account_flagged
    trader.note_rights(allowed=True)
    assert not trader.summary(T0, wants_ticks=True).account_flagged


def test_data_is_valid_when_both_kinds_were_and_none_was_not() -> None:
    window = Watched().window

    def valid(now_ms: int = T0, *, wants_ticks: bool = True) -> bool | None:
        return window.summary(now_ms, wants_ticks=wants_ticks).valid_data

    assert valid() is None
    window.note_data(T0, "account", valid=True)
    assert (valid(), valid(wants_ticks=False)) == (None, True)
    window.note_data(T0, "ticks", valid=True)
    assert valid() is True
    window.note_data(T0, "ticks", valid=False)
    assert valid() is False
    assert valid(T0 + int(WINDOW_S) * 1000 + 1) is True


def test_only_time_that_passes_is_no_news() -> None:
    watched = Watched()

    assert watched.look(UP, logins=1)
    assert not watched.look(UP, logins=1, unsynchronised_ms=500)
