# SPDX-License-Identifier: Apache-2.0
"""What is known of a broker: each row of MT5.md 4, and the rule that moves accounts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_samples import SETTINGS, Desk, Terminal, kicked, well
from mt5_operator.brokers.evidence import INNOCENT
from mt5_operator.reasons import Reason
from mt5_operator.spec.account import Platform
from mt5_operator.spec.broker import BrokerSpec, Name, State, Verdict

HOUR = 1.0
DAY = 24 * HOUR


def state(desk: Desk, name: Name) -> State:
    return next(item.state for item in desk.status.criteria if item.name is name)


def evidence(desk: Desk, name: Name) -> str:
    return next(item.evidence for item in desk.status.criteria if item.name is name)


def test_an_account_that_is_thrown_out_again_and_again_needs_windows() -> None:
    desk = Desk([kicked()])

    desk.watch(2)

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS
    assert desk.status.platform is Platform.WINDOWS
    assert desk.status.decided_at is not None
    assert desk.last is not None
    assert desk.last.reason is Reason.BROKER_REQUIRES_WINDOWS
    assert state(desk, Name.NO_WINE_REJECTION) is State.FAILED
    assert "thrown out" in desk.status.message
    assert "after 3 fresh starts" in desk.status.message
    assert "unproven" in desk.status.confidence


def test_it_takes_the_time_and_the_fresh_starts_that_the_settings_say() -> None:
    desk = Desk([kicked()])

    for found in desk.watching(2):
        if found.status.verdict is Verdict.REQUIRES_WINDOWS:
            break

    assert desk.now - timedelta(seconds=SETTINGS.broker_suspect_s) >= desk.status.window_start  # type: ignore[operator]
    assert desk.terminals[0].pod == SETTINGS.broker_fresh_starts


def test_fresh_starts_are_asked_of_the_suspect_that_is_furthest() -> None:
    desk = Desk([kicked("b"), kicked("a"), kicked("unproven", kicks_per_min=0.6)], obeys=False)
    desk.watch(1)
    desk.terminals[0].starts += 1
    desk.watch(0.2)
    assert desk.last is not None

    assert [tally.last.key.name for tally in desk.last.try_again][:2] == ["b", "a"]


def test_without_fresh_starts_there_is_no_verdict() -> None:
    desk = Desk([kicked()], obeys=False)

    desk.watch(6)

    assert desk.status.verdict is Verdict.TESTING
    assert "after 1 fresh starts" in desk.status.message
    assert desk.last is not None
    assert desk.last.reason is Reason.LINUX_SUSPECTED


def test_an_account_that_is_let_in_and_never_synchronised_needs_windows_too() -> None:
    desk = Desk([Terminal(unsynchronised=0.9, uptime=0, reason="BrokerUnreachable")])

    desk.watch(3)

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS
    assert "not synchronised for" in desk.status.message


INNOCENTS = [
    ("a bad password", Terminal(uptime=0, logins=0, words={"BadCredentials": 1})),
    ("a network", Terminal(uptime=0, logins=0, tries_per_min=3, reason="BrokerUnreachable")),
    ("a bad line", kicked(uptime=0.85, reason="")),
    ("a bad line of a slow start", kicked(uptime=0.85, reason="", starts_for_s=900)),
    ("an outage with a few log-ins", kicked(tries_per_min=10)),
    ("Wine itself", kicked(words={"WineFault": 1})),
    ("a terminal that ends", kicked(words={"TerminalFault": 1})),
    ("an old terminal", kicked(words={"TerminalOutdated": 0.5})),
    ("a one-time password", kicked(words={"NeedsInteraction": 0.5})),
    ("an unknown server", Terminal(uptime=0, logins=0, words={"ServerUnknown": 1})),
    ("too seldom", kicked(kicks_per_min=0.3)),
]  # fmt: skip


@pytest.mark.parametrize("terminal", [i[1] for i in INNOCENTS], ids=[i[0] for i in INNOCENTS])
def test_other_causes_never_move_anybody(terminal: Terminal) -> None:
    desk = Desk([terminal])

    for found in desk.watching(8):
        assert found.status.verdict is not Verdict.REQUIRES_WINDOWS
        assert found.status.platform is Platform.LINUX
        assert not found.try_again


def test_a_broker_with_a_stable_account_on_linux_accepts_linux() -> None:
    desk = Desk([kicked(), well("sibling")])

    desk.watch(4)

    assert desk.status.verdict is Verdict.TESTING
    assert desk.last is not None
    assert "another account of this broker is stable there" in desk.status.message
    assert not desk.last.try_again


def test_who_was_well_in_the_last_hours_is_not_moved_yet() -> None:
    terminal = well()
    desk = Desk([terminal])
    desk.watch(1)
    terminal.healthy, terminal.kicks_per_min, terminal.uptime = False, 2, 0.4
    terminal.reason = "PlatformRejected"

    for found in desk.watching(5.9):
        assert found.status.verdict is Verdict.TESTING
    desk.watch(2)

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS


def test_a_restart_does_not_forget_that_an_account_was_well() -> None:
    terminal = well()
    desk = Desk([terminal])
    desk.watch(1)
    terminal.healthy, terminal.kicks_per_min, terminal.uptime = False, 2, 0.4
    terminal.fresh()  # the pod forgets it too
    desk.restart()

    for found in desk.watching(5):
        assert found.status.verdict is Verdict.TESTING


def test_the_network_of_a_node_is_no_fault_of_the_platform() -> None:
    desk = Desk([kicked()], bad_network=True)

    desk.watch(4)

    assert desk.status.verdict is Verdict.TESTING
    assert "the node's network" in desk.status.message


def test_windows_that_is_refused_alike_acquits_linux() -> None:
    desk = Desk([kicked(), kicked("pinned", platform=Platform.WINDOWS)])

    desk.watch(4)

    assert desk.status.verdict is Verdict.TESTING
    assert desk.last is not None
    assert desk.last.reason is Reason.WINDOWS_FAILED_ALIKE


def test_without_a_windows_node_everything_stays_until_there_is_one() -> None:
    desk = Desk([kicked()], windows_node=False)
    desk.watch(4)
    assert desk.status.verdict is Verdict.TESTING
    assert desk.last is not None
    assert desk.last.reason is Reason.NO_WINDOWS_NODE
    assert state(desk, Name.NO_WINE_REJECTION) is State.FAILED

    desk.windows_node = True
    desk.review()

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS


def moved(*, well_there: bool) -> Desk:
    """Return a desk whose only account was moved to Windows."""
    desk = Desk([kicked()])
    desk.watch(2)
    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS
    there = well if well_there else kicked
    desk.terminals = [there(platform=Platform.WINDOWS)]
    return desk


def test_windows_that_is_accepted_is_the_proof_and_stays() -> None:
    desk = moved(well_there=True)
    decided = desk.status.decided_at

    desk.watch(8 * DAY, step_s=600)

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS
    assert desk.status.decided_at == decided
    assert desk.status.windows_accepted_at is not None
    assert "Windows accepted at" in desk.status.message
    assert "thrown out" in evidence(desk, Name.NO_WINE_REJECTION)


def test_an_account_that_moved_is_one_account() -> None:
    desk = Desk([kicked()])
    desk.watch(2)

    desk.terminals.append(well(platform=Platform.WINDOWS))
    desk.watch(1)

    assert desk.status.observed_accounts == 1
    assert "1 accounts, Windows accepted" in desk.status.confidence


def test_windows_that_fails_alike_sends_accounts_back_once() -> None:
    desk = moved(well_there=False)
    desk.watch(3)
    assert desk.status.verdict is Verdict.TESTING
    assert desk.status.platform is Platform.LINUX
    assert desk.status.moved_back_at is not None

    desk.terminals = [kicked()]
    for _ in range(5):
        for found in desk.watching(1):
            assert found.status.verdict is Verdict.TESTING
            assert not found.try_again
        desk.terminals[0].fresh()  # for another reason

    assert "the platform is not the cause" in desk.status.message


def test_an_annotation_allows_another_try() -> None:
    desk = moved(well_there=False)
    desk.watch(3)
    desk.terminals = [kicked()]
    desk.reprobe = "after the network was mended"

    desk.watch(3)

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS
    assert desk.status.reprobe == "after the network was mended"


def test_an_account_that_is_kicked_on_windows_after_it_was_accepted_stays_there() -> None:
    desk = moved(well_there=True)
    desk.watch(1)
    desk.terminals = [kicked(platform=Platform.WINDOWS)]

    for _ in range(8):
        desk.watch(1)
        desk.terminals[0].fresh()  # for another reason

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS


def test_a_trial_is_passed_after_its_time_and_goes_on() -> None:
    desk = Desk([well()])
    desk.watch(1)
    assert desk.status.verdict is Verdict.TESTING
    assert state(desk, Name.CONNECTS) is State.PASSED
    assert state(desk, Name.VALID_DATA) is State.PASSED
    assert state(desk, Name.NO_DROPS) is State.PENDING

    desk.watch(7 * DAY, step_s=1800)

    assert desk.status.verdict is Verdict.LINUX_COMPATIBLE
    assert all(item.state is State.PASSED for item in desk.status.criteria)
    decided = desk.status.decided_at
    desk.watch(8 * DAY, step_s=1800)
    assert desk.status.verdict is Verdict.LINUX_COMPATIBLE
    assert desk.status.decided_at == decided


def test_a_brokers_own_limits_count() -> None:
    spec = BrokerSpec.model_validate({"servers": ["X"], "trial": {"duration": "1h30m"}})
    desk = Desk([well()], spec=spec)

    desk.watch(1.4)
    assert desk.status.verdict is Verdict.TESTING
    desk.watch(0.2)

    assert desk.status.verdict is Verdict.LINUX_COMPATIBLE


@pytest.mark.parametrize(
    ("trial", "passed"),
    [({"minUptime": "0.99"}, False), ({"minUptime": "0.9"}, True),
     ({"minUptime": "0.9", "maxDropsPerHour": 1}, False)],
)  # fmt: skip
def test_drops_and_uptime_are_judged_by_the_brokers_limits(
    trial: dict[str, object], *, passed: bool
) -> None:
    spec = BrokerSpec.model_validate({"servers": ["X"], "trial": {"duration": "2h", **trial}})
    desk = Desk([well(uptime=0.95, drops_per_min=2 / 60)], spec=spec)

    desk.watch(2.1)

    assert (desk.status.verdict is Verdict.LINUX_COMPATIBLE) is passed


def test_a_flagged_account_fails_its_criterion_and_moves_nobody() -> None:
    desk = Desk([well(flagged=True)])

    desk.watch(2)

    assert state(desk, Name.ACCOUNT_NOT_FLAGGED) is State.FAILED
    assert desk.status.platform is Platform.LINUX


def test_data_that_make_no_sense_fail_their_criterion() -> None:
    desk = Desk([well(valid=False)])

    desk.watch(1)

    assert state(desk, Name.VALID_DATA) is State.FAILED


def test_time_in_which_nobody_watched_does_not_count() -> None:
    desk = Desk([well()])
    desk.watch(1)
    desk.restart()
    desk.now += timedelta(days=8)

    desk.watch(1)

    assert desk.status.verdict is Verdict.TESTING
    assert desk.status.window.watched_seconds < 2.1 * 3600


def test_a_restart_loses_no_decision_and_no_trial() -> None:
    straight, restarted = Desk([well()]), Desk([well()])

    straight.watch(3)
    for _ in range(3):
        restarted.watch(1)
        restarted.restart()

    gap_s = straight.status.window.watched_seconds - restarted.status.window.watched_seconds
    assert 0 <= gap_s <= 3 * 60
    assert restarted.status.window_start is not None
    assert restarted.status.verdict is Verdict.TESTING


def test_a_trial_begins_with_the_first_log_in() -> None:
    terminal = Terminal(uptime=0, logins=0, tries_per_min=1, reason="BrokerUnreachable")
    spec = BrokerSpec.model_validate({"servers": ["X"], "trial": {"duration": "1h"}})
    desk = Desk([terminal], spec=spec)

    desk.watch(3)

    assert desk.status.verdict is Verdict.UNKNOWN
    assert desk.status.window_start is None
    terminal.logins, terminal.uptime, terminal.tries_per_min, terminal.healthy = 1, 1, 0, True
    desk.watch(0.5)
    assert desk.status.verdict is Verdict.TESTING
    assert desk.status.window.watched_seconds < 1900


def test_without_accounts_nothing_is_concluded() -> None:
    desk = Desk([])

    desk.watch(1)

    assert desk.status.verdict is Verdict.UNKNOWN
    assert desk.last is not None
    assert desk.last.reason is Reason.NOT_TRIED_YET


@settings(max_examples=20, deadline=None)
@given(
    words=st.dictionaries(st.sampled_from(INNOCENT), st.floats(0.2, 10), max_size=3),
    tries=st.floats(0, 20),
    uptime=st.floats(0, 1),
    unreachable=st.booleans(),
)
def test_whatever_goes_wrong_without_a_kick_moves_nobody(
    words: dict[str, float], tries: float, uptime: float, *, unreachable: bool
) -> None:
    reason = "BrokerUnreachable" if unreachable else next(iter(words), "")
    desk = Desk([Terminal(words=words, tries_per_min=tries, uptime=uptime, reason=reason)])

    for found in desk.watching(5, step_s=120):
        assert found.status.verdict is not Verdict.REQUIRES_WINDOWS
        assert not found.try_again


@settings(max_examples=20, deadline=None)
@given(
    kicks=st.floats(0, 20),
    uptime=st.floats(0, 1),
    tries=st.floats(0, 5),
    siblings=st.integers(0, 2),
)
def test_nobody_is_moved_while_an_account_is_stable_on_linux(
    kicks: float, uptime: float, tries: float, siblings: int
) -> None:
    bad = kicked(kicks_per_min=kicks, uptime=uptime, tries_per_min=tries)
    desk = Desk([bad, well("well"), *(kicked(f"s{n}") for n in range(siblings))])

    for found in desk.watching(4, step_s=120):
        assert found.status.verdict is not Verdict.REQUIRES_WINDOWS


@settings(max_examples=15, deadline=None)
@given(restarts=st.lists(st.floats(0.1, 1.5), max_size=4), kicks=st.floats(1, 10))
def test_a_decision_for_windows_outlives_all_restarts(restarts: list[float], kicks: float) -> None:
    desk = moved(well_there=True)
    decided = desk.status.decided_at
    assert decided is not None
    desk.terminals.append(kicked("late", kicks_per_min=kicks))

    for hours in restarts:
        desk.watch(hours, step_s=120)
        desk.restart()

    assert desk.status.verdict is Verdict.REQUIRES_WINDOWS
    assert desk.status.decided_at is not None
    assert desk.status.decided_at.replace(microsecond=0) == decided.replace(microsecond=0)
