# SPDX-License-Identifier: Apache-2.0
"""Bars and ticks agree with the quotes, whatever the moment and the timeframe."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt5_simulator import constants as mt5
from mt5_simulator.broker.clock import broker_ms, last_close_ms, utc_ms_of
from mt5_simulator.broker.series import TIMEFRAMES, bars, opening_ms, ticks
from mt5_simulator.broker.symbols import MARKET
from mt5_simulator.broker.valuation import Prices

MOMENTS = st.integers(min_value=1_770_000_000_000, max_value=2_000_000_000_000)


def prices(utc_ms: int) -> Prices:
    return Prices("Simulator-Demo", utc_ms, MARKET)


def shown(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%a %d %H:%M}"


@settings(deadline=None)
@given(MOMENTS)
def test_the_brokers_clock_can_be_read_backwards(moment):
    assert abs(utc_ms_of(broker_ms(moment)) - moment) in {0, 3_600_000}  # an hour is there twice


@settings(deadline=None)
@given(MOMENTS)
def test_the_last_close_is_a_friday_night_of_the_week_before(moment):
    close = last_close_ms(moment)

    assert shown(broker_ms(close))[:3] in {"Fri", "Sat"}  # an hour off across a change of clocks
    assert 0 < moment - close <= 7 * 86_400_000


@pytest.mark.parametrize(
    ("timeframe", "begins"),
    [
        (mt5.TIMEFRAME_M5, "Wed 18 13:35"),
        (mt5.TIMEFRAME_H4, "Wed 18 12:00"),
        (mt5.TIMEFRAME_D1, "Wed 18 00:00"),
        (mt5.TIMEFRAME_W1, "Sun 15 00:00"),
        (mt5.TIMEFRAME_MN1, "Sun 01 00:00"),
    ],
)
def test_bars_begin_where_the_brokers_clock_says(timeframe, begins):
    moment = datetime(2026, 11, 18, 13, 37, 12, tzinfo=UTC)

    assert shown(opening_ms(timeframe, int(moment.timestamp() * 1000))) == begins


@settings(deadline=None, max_examples=40)
@given(MOMENTS, st.sampled_from(sorted(TIMEFRAMES)))
def test_the_present_bar_ends_in_the_present_price(moment, timeframe):
    now = prices(moment)

    found = bars(now, "EURUSD", timeframe, last_ms=broker_ms(moment), count=3)

    times = [bar[0] for bar in found]
    assert times == sorted(set(times))
    assert found[-1][4] == now.quote("EURUSD").bid
    assert all(low <= min(o, c) and max(o, c) <= high for _, o, high, low, c, *_ in found)


@settings(deadline=None, max_examples=40)
@given(MOMENTS)
def test_the_last_tick_is_the_quote(moment):
    now = prices(moment)

    found = ticks(
        now, "EURUSD", -1, from_ms=broker_ms(moment) - 10_000, to_ms=broker_ms(moment), count=1000
    )

    assert found[-1][1:3] == (now.quote("EURUSD").bid, now.quote("EURUSD").ask)


def test_ticks_from_a_moment_on_are_as_many_as_were_asked_for(bench):
    bench.login()
    from_s = bench.now_ms // 1000 - 36_000

    found = bench.ask("copy_ticks_from", "EURUSD", from_s, 500, -1)

    times = [tick[5] for tick in found]
    assert len(found) == 500
    assert times == sorted(times)
    assert times[0] >= from_s * 1000
