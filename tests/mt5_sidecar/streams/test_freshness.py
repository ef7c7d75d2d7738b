# SPDX-License-Identifier: Apache-2.0
"""What is current, and how old, whatever is done to the machine's clock."""

import pytest

from mt5_sidecar.streams.freshness import Freshness

NOW_MS = 1_795_000_000_000
LIMIT_S = 12
HOUR_S = 3600


class Terminal:
    """Answers, or does not, while time passes and the clock is set."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.set_by_s = 0.0
        self.paused_s = 0.0
        self.freshness = Freshness(
            limit_s=LIMIT_S, clock=self.clock, monotonic=lambda: 1000 + self.passed_s
        )
        self.shown = True
        self.said_ms = 0

    def clock(self) -> int:
        return NOW_MS + round((self.passed_s + self.paused_s + self.set_by_s) * 1000)

    def answers(self) -> None:
        self.said_ms = self.clock()
        self.passes(0)

    def passes(self, seconds: float) -> None:
        """Let time pass, in which the agent repeats when it had an answer last."""
        self.passed_s += seconds
        self.freshness.said(self.said_ms)
        self.freshness.review(shown=self.shown, healthy_ms=0)

    @property
    def stale(self) -> bool:
        return self.freshness.stale_since_ms is not None


@pytest.fixture
def terminal() -> Terminal:
    made = Terminal()
    made.answers()
    assert not made.stale
    return made


def test_a_silent_terminal_is_stale_since_its_last_answer(terminal: Terminal) -> None:
    terminal.passes(LIMIT_S)
    before = terminal.stale
    terminal.passes(1)

    assert (before, terminal.stale) == (False, True)
    assert terminal.freshness.stale_since_ms == NOW_MS
    assert terminal.freshness.age_s == LIMIT_S + 1


@pytest.mark.parametrize("by_s", [-HOUR_S, -LIMIT_S, HOUR_S])
def test_a_silent_terminal_is_stale_also_where_the_clock_was_set(
    terminal: Terminal, by_s: float
) -> None:
    terminal.set_by_s = by_s
    for _ in range(LIMIT_S + 1):
        terminal.passes(1)

    assert terminal.stale
    assert terminal.freshness.age_s >= LIMIT_S + 1
    assert terminal.freshness.contact_ms <= terminal.clock()


@pytest.mark.parametrize("by_s", [-HOUR_S, HOUR_S])
def test_a_terminal_that_answers_is_current_whatever_the_clock_does(
    terminal: Terminal, by_s: float
) -> None:
    terminal.set_by_s = by_s
    terminal.passes(5)
    terminal.answers()

    assert not terminal.stale
    assert terminal.freshness.age_s == 0
    assert terminal.freshness.contact_ms == terminal.clock()


def test_what_is_shown_before_a_pause_of_the_machine_is_not_current_after_it(
    terminal: Terminal,
) -> None:
    terminal.paused_s = HOUR_S
    terminal.passes(0)

    assert terminal.stale


def test_what_is_stale_ages_on_while_the_clock_is_set_back(terminal: Terminal) -> None:
    terminal.shown = False
    terminal.passes(0)
    terminal.set_by_s = -HOUR_S
    terminal.passes(6)

    assert terminal.freshness.age_s == 6
    assert terminal.freshness.stale_since_ms == terminal.clock()


def test_what_a_new_sidecar_is_shown_of_long_ago_is_stale_since_then() -> None:
    terminal = Terminal()
    terminal.freshness.said(NOW_MS)  # it answers, but has no broker
    terminal.freshness.review(shown=False, healthy_ms=NOW_MS - HOUR_S * 1000)

    assert terminal.freshness.stale_since_ms == NOW_MS - HOUR_S * 1000
    assert terminal.freshness.age_s == HOUR_S


def test_what_was_seen_long_ago_and_is_told_again_is_no_answer(terminal: Terminal) -> None:
    terminal.passes(5)
    terminal.freshness.heard(NOW_MS - HOUR_S * 1000)

    assert terminal.freshness.contact_ms == NOW_MS
    assert terminal.freshness.age_s == 5
