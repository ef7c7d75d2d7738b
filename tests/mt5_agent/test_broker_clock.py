# SPDX-License-Identifier: Apache-2.0
"""The broker's zone is what live ticks agree on; late ones, and clocks that are set, do not move
it."""

import random

import pytest

from mt5_agent.broker_clock import BrokerClock, Zone

HOUR_S, BEGIN_S = 3600, 1_790_000_000.0


class Times:
    """A broker's clock, the machine's two, and what comes of ticks."""

    def __init__(self, *, zone_h: float, interval_ms: int = 250) -> None:
        self.zone_s, self.wrong_s, self.now_s = zone_h * HOUR_S, 0.0, 0.0
        self.clock = BrokerClock(interval_ms=interval_ms)

    def tick(self, *, after_s: float = 1.0, late_s: float = 0.2) -> Zone:
        """Let a tick come `late_s` after it was made."""
        self.now_s += after_s
        utc_s = BEGIN_S + self.now_s
        return self.clock.ticked(
            int((utc_s + self.zone_s - late_s) * 1000),
            utc_ms=int((utc_s + self.wrong_s) * 1000),
            monotonic_ms=int(self.now_s * 1000),
        )

    def live(self, *, for_s: int = 10) -> Zone:
        """Let a live tick come each second."""
        for _ in range(for_s):
            zone = self.tick()
        return zone


@pytest.mark.parametrize("zone_h", [0, 2, 3, -5, 5.5, 5.75, 14, -12])
def test_live_ticks_tell_the_zone_and_then_for_sure(zone_h):
    times = Times(zone_h=zone_h)
    offset_s = int(zone_h * HOUR_S)

    assert times.tick() == Zone(offset_s)
    assert times.live() == Zone(offset_s, sure=True)


def test_ticks_that_are_looked_for_seldom_agree_though_some_wait_for_the_look():
    times = Times(zone_h=2, interval_ms=10_000)

    assert times.tick() == Zone(2 * HOUR_S)
    for late_s in (0.2, 9.5) * 5:
        zone = times.tick(after_s=10, late_s=late_s)

    assert zone == Zone(2 * HOUR_S, sure=True)


@pytest.mark.parametrize(
    ("zone_h", "late_s"), [(15, 0), (-48, 0), (2, 400), (2, 30), (0, 48 * HOUR_S)]
)
def test_one_tick_tells_nothing_that_is_not_a_zone(zone_h, late_s):
    assert Times(zone_h=zone_h).tick(late_s=late_s) == Zone()


@pytest.mark.parametrize("late_s", [900, 1800, HOUR_S, 5 * HOUR_S + 20, 12 * HOUR_S])
def test_a_late_tick_moves_no_zone_that_is_sure(late_s):
    times = Times(zone_h=3)
    times.live()

    assert times.tick(late_s=late_s) == Zone(3 * HOUR_S, sure=True)
    assert times.tick(after_s=50 * HOUR_S, late_s=late_s) == Zone(3 * HOUR_S, sure=True)


def test_a_burst_of_old_ticks_moves_it_no_more_than_one():
    times = Times(zone_h=3)
    times.live()
    times.now_s += 2 * HOUR_S

    for number in range(40):
        zone = times.tick(after_s=0.25, late_s=HOUR_S + 10 - number)  # replayed five times as fast

    assert zone == Zone(3 * HOUR_S, sure=True)


def test_a_wrong_guess_at_the_start_is_mended_by_the_first_live_tick():
    times = Times(zone_h=3)

    assert times.tick(late_s=HOUR_S) == Zone(2 * HOUR_S)
    assert times.tick() == Zone(3 * HOUR_S)
    assert times.tick(late_s=HOUR_S) == Zone(3 * HOUR_S)
    assert times.live() == Zone(3 * HOUR_S, sure=True)


def test_a_delayed_symbol_beside_a_live_one_is_not_believed():
    times = Times(zone_h=2)

    for _ in range(60):
        times.tick(after_s=0.5, late_s=900)
        zone = times.tick(after_s=0.5)

    assert zone == Zone(2 * HOUR_S, sure=True)


@pytest.mark.parametrize("change_h", [1, -1])
def test_summer_time_changes_it_over_a_weekend_and_while_ticks_come(change_h):
    for pause_s in (48 * HOUR_S, 0):
        times = Times(zone_h=2)
        times.live()
        times.now_s += pause_s
        times.zone_s += change_h * HOUR_S

        assert times.live(for_s=70) == Zone((2 + change_h) * HOUR_S, sure=True)


@pytest.mark.parametrize("wrong_h", [1, -1])
def test_a_machines_clock_that_is_set_is_followed_at_once(wrong_h):
    times = Times(zone_h=2)
    times.live()

    times.wrong_s = wrong_h * HOUR_S
    assert times.tick() == Zone((2 - wrong_h) * HOUR_S, sure=True)
    times.wrong_s = 0
    assert times.tick() == Zone(2 * HOUR_S, sure=True)


def test_a_machines_clock_that_is_wrong_by_minutes_keeps_the_zone_and_makes_it_unsure():
    times = Times(zone_h=2)
    times.live()

    times.wrong_s = 400

    assert times.tick() == Zone(2 * HOUR_S, sure=False)


def test_any_mixture_of_late_ticks_leaves_the_zone_to_the_live_ones():
    for seed in range(50):
        late, times = random.Random(seed), Times(zone_h=3)  # noqa: S311 -- no secret
        times.live()
        for _ in range(300):
            mixed = late.choice([0.2, 0.2, late.uniform(0, 12 * HOUR_S), 900 * late.randint(1, 40)])
            zone = times.tick(after_s=late.uniform(0, 3), late_s=mixed)
            assert zone == Zone(3 * HOUR_S, sure=True), seed
