# SPDX-License-Identifier: Apache-2.0
"""Bars, ticks and depth of market: computed from the same line as the quotes, so they agree with
them. Times in arguments and rows are the broker's clock.
"""

from datetime import UTC, datetime
from typing import Final

from mt5_simulator import constants as mt5
from mt5_simulator.broker.clock import DAY_MS, broker_ms, utc_ms_of
from mt5_simulator.broker.noise import mixed, seed_of
from mt5_simulator.broker.opening import OPENED_MS
from mt5_simulator.broker.quotes import SLOT_MS, TICK_SHARE, quote, ticks_after
from mt5_simulator.broker.rows import DEPTH, Row
from mt5_simulator.broker.valuation import Prices

MAX_BARS: Final = 20_000
"""The most that the simulated terminal keeps or gives, of bars and of ticks."""

_SAMPLES: Final = 4
"""Prices looked at within a bar; its high and low are the highest and lowest of them."""
_MINUTE_MS: Final = 60_000
_WEEK: Final = mt5.TIMEFRAME_W1
_MONTH: Final = mt5.TIMEFRAME_MN1
_SUNDAY_MS: Final = 3 * DAY_MS
"""The epoch began on a Thursday; weeks begin on Sunday."""
TIMEFRAMES: Final = frozenset(
    value for name, value in vars(mt5).items() if name.startswith("TIMEFRAME_")
)


def opening_ms(timeframe: int, moment_ms: int) -> int:
    """Return when the bar began in which `moment_ms` lies."""
    if timeframe == _MONTH:
        day = datetime.fromtimestamp(moment_ms / 1000, UTC).day
        return (moment_ms // DAY_MS - day + 1) * DAY_MS
    shift = _SUNDAY_MS if timeframe == _WEEK else 0
    length = _length_ms(timeframe)
    return (moment_ms - shift) // length * length + shift


def bars(prices: Prices, name: str, timeframe: int, *, last_ms: int, count: int) -> list[Row]:
    """Return up to `count` bars, the last of them that in which `last_ms` lies."""
    first_ms, now_ms = broker_ms(OPENED_MS), broker_ms(prices.utc_ms)
    begin = opening_ms(timeframe, min(last_ms, now_ms))
    found: list[Row] = []
    while len(found) < min(count, MAX_BARS) and begin >= first_ms:
        end = _next_ms(timeframe, begin)
        found.append(_bar(prices, name, begin, min(end - 1, now_ms)))
        begin = opening_ms(timeframe, begin - 1)
    return found[::-1]


def bars_between(
    prices: Prices, name: str, timeframe: int, *, from_ms: int, to_ms: int
) -> list[Row]:
    """Return the bars that begin within the two moments, at most `MAX_BARS` of the newest."""
    found = bars(prices, name, timeframe, last_ms=to_ms, count=_count(timeframe, from_ms, to_ms))
    return [bar for bar in found if bar[0] * 1000 >= from_ms]


def ticks(
    prices: Prices, name: str, flags: int, *, from_ms: int, to_ms: int, count: int
) -> list[Row]:
    """Return up to `count` ticks from `from_ms` on; none of trades, which this market has not."""
    if flags == mt5.COPY_TICKS_TRADE:
        return []
    until = min(utc_ms_of(to_ms), prices.utc_ms)
    begin = max(utc_ms_of(from_ms), OPENED_MS)
    found = ticks_after(prices.server, prices.symbols[name], begin, until, min(count, MAX_BARS))
    return [(now.time_msc // 1000, now.bid, now.ask, 0.0, 0, now.time_msc, 6, 0.0) for now in found]


def depth(prices: Prices, name: str) -> list[Row]:
    """Return the book: offers from far to near, then bids from near to far."""
    symbol, now = prices.symbols[name], prices.quote(name)
    seed = mixed(seed_of(f"{prices.server}/{name}"), now.utc_ms)
    rows = [
        (kind, round(price + step * sign * symbol.point, symbol.digits), lots, float(lots))
        for kind, price, sign in (
            (mt5.BOOK_TYPE_SELL, now.ask, 1),
            (mt5.BOOK_TYPE_BUY, now.bid, -1),
        )
        for step in range(DEPTH)
        for lots in (1 + mixed(seed, kind, step) % 50,)
    ]
    return rows[:DEPTH][::-1] + rows[DEPTH:]


def _bar(prices: Prices, name: str, begin: int, end: int) -> Row:
    symbol = prices.symbols[name]
    length = end - begin
    moments = [begin + length * number // (_SAMPLES - 1) for number in range(_SAMPLES)]
    bids = [quote(prices.server, symbol, utc_ms_of(moment)).bid for moment in moments]
    volume = max(int(length / SLOT_MS * TICK_SHARE), 1)
    shown = (bids[0], max(bids), min(bids), bids[-1])
    return (begin // 1000, *shown, volume, symbol.spread_points, 0)


def _length_ms(timeframe: int) -> int:
    if timeframe == _WEEK:
        return 7 * DAY_MS
    hours = timeframe - mt5.TIMEFRAME_H1 + 1  # H1 is 16385, H4 16388, D1 16408
    return hours * 60 * _MINUTE_MS if hours > 0 else timeframe * _MINUTE_MS


def _next_ms(timeframe: int, begin: int) -> int:
    if timeframe == _MONTH:
        return opening_ms(timeframe, begin + 32 * DAY_MS)
    return begin + _length_ms(timeframe)


def _count(timeframe: int, from_ms: int, to_ms: int) -> int:
    length = 28 * DAY_MS if timeframe == _MONTH else _length_ms(timeframe)
    return max((to_ms - from_ms) // length + 2, 0)
