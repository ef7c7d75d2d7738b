# SPDX-License-Identifier: Apache-2.0
"""The broker's clock: wall clock of New York plus seven hours, written as if it were an epoch.

Source: MT5.md 5 "Time". So a trading day begins at New York's 17:00 and the offset is UTC+2, in the
American summer UTC+3. Computed here because Windows Python has no zone data.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], int]
"""Returns UTC milliseconds."""

DAY_MS: Final = 86_400_000
_SATURDAY: Final = 2
"""Days of the epoch modulo 7: it began on a Thursday."""
_MONDAY: Final = 4
_NIGHTS: Final = (1, 1, 0, 0, 1, 1, 3)
"""Of swap after each of these days: Thursday, Friday, Saturday, Sunday, Monday, Tuesday, Wednesday.
Source: SymbolInfo.swap_rollover3days is 3."""
_BREAK_MS: Final = 5 * 60_000
_WINTER_S = 2 * 3600
_SUMMER_S = 3 * 3600


def system_clock() -> int:
    """Return the machine's UTC milliseconds."""
    return time.time_ns() // 1_000_000


def utc_offset_s(utc_ms: int) -> int:
    """Return how far the broker's clock is ahead of UTC at `utc_ms`."""
    moment = datetime.fromtimestamp(utc_ms / 1000, UTC)
    begin = _sunday(moment.year, month=3, nth=2) + timedelta(hours=7)  # 02:00 in New York (EST)
    end = _sunday(moment.year, month=11, nth=1) + timedelta(hours=6)  # 02:00 in New York (EDT)
    return _SUMMER_S if begin <= moment < end else _WINTER_S


def broker_ms(utc_ms: int) -> int:
    """Return the broker's wall clock at `utc_ms`, as milliseconds of a pretended epoch."""
    return utc_ms + utc_offset_s(utc_ms) * 1000


def utc_ms_of(moment_ms: int) -> int:
    """Return the UTC milliseconds at which the broker's clock shows `moment_ms`."""
    guess = moment_ms - utc_offset_s(moment_ms) * 1000
    return moment_ms - utc_offset_s(guess) * 1000


def last_close_ms(utc_ms: int) -> int:
    """Return the UTC end of the last full trading week before `utc_ms`: Friday's last
    millisecond."""
    now_ms = broker_ms(utc_ms)
    day = now_ms // DAY_MS
    saturday_ms = (day - (day - _SATURDAY) % 7) * DAY_MS
    return utc_ms - (now_ms - saturday_ms) - 1


def nights(begin_ms: int, end_ms: int) -> int:
    """Return how many nights' swap falls between two moments of UTC.

    A night begins each broker's midnight after a weekday; Wednesday's counts three times, for the
    weekend.
    """
    first, last = broker_ms(begin_ms) // DAY_MS, broker_ms(end_ms) // DAY_MS
    weeks, rest = divmod(max(last - first, 0), 7)
    return 7 * weeks + sum(_NIGHTS[day % 7] for day in range(first, first + rest))


def closed_since_ms(utc_ms: int) -> int | None:
    """Return the last moment at which the market was open; None: it is open.

    It is closed on the broker's Saturday and Sunday, and for five minutes after each midnight.
    """
    now_ms = broker_ms(utc_ms)
    day, in_day_ms = divmod(now_ms, DAY_MS)
    weekday = day % 7
    after_weekend = weekday == _MONDAY and in_day_ms < _BREAK_MS
    if weekday in {_SATURDAY, _SATURDAY + 1} or after_weekend:
        return last_close_ms(utc_ms)
    return utc_ms - in_day_ms - 1 if in_day_ms < _BREAK_MS else None


def _sunday(year: int, *, month: int, nth: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))
