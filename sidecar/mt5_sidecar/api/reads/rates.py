# SPDX-License-Identifier: Apache-2.0
"""Bars of a symbol, asked of the terminal now."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aiohttp import web

from mt5_sidecar.api.answers import JSON, RatesAnswer
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.context.settled import open_s
from mt5_sidecar.api.reads.period import Period, between
from mt5_sidecar.api.reads.symbols import checked_symbol, select, symbol_info
from mt5_sidecar.api.requests.operation import caller
from mt5_sidecar.api.requests.parameters import moment_s, whole
from mt5_sidecar.domain import past_views
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.names import TIMEFRAMES
from mt5_sidecar.errors import InvalidRequest, TerminalRefused

DEFAULT_BARS: Final = 100
# Part of the API, as MOST_DAYS.
MOST_BARS: Final = 5000
_DAY_S: Final = 86_400
_LENGTH_S: Final = {"M": 60, "H": 3600, "D": _DAY_S, "W": 7 * _DAY_S, "MN": 28 * _DAY_S}


async def rates(request: web.Request) -> web.Response:
    """Answer with the last `?count=` bars, or those between `?from=` and `?to=`."""
    context = request.app[CONTEXT]
    name = checked_symbol(request.query.get("symbol", ""))
    timeframe = request.query.get("timeframe", "M1")
    if timeframe not in TIMEFRAMES:
        raise InvalidRequest(f"timeframe is one of {', '.join(TIMEFRAMES)}")
    wanted = _wanted(request, timeframe, context.feed.zone_s)
    if not (await symbol_info(context, name)).select:
        await select(context, caller(request).subject, name)
    columns = await _columns(context, wanted.call, (name, TIMEFRAMES[timeframe], *wanted.args))
    zone_s = context.feed.zone_s
    bars = past_views.bars(columns, context.feed.contracts.get(name), zone_s=zone_s)
    begins_s = [int(begin_s) for begin_s in columns.get("time", ())]
    complete = bool(columns) and _complete(context, (name, timeframe), wanted, begins_s)
    answer = RatesAnswer(name, timeframe, complete, bars, zone_s)
    return web.Response(body=encode(answer), content_type=JSON)


class _Wanted(NamedTuple):
    """The package's function, its arguments, and what it takes for its answer to be whole."""

    call: str
    args: tuple[int, ...]
    bars: int = 0
    """So many bars, of those that are there."""
    period: Period | None = None
    """Or all that begin within."""
    length_s: int = 0


def _complete(
    context: Context, series: tuple[str, str], wanted: _Wanted, begins_s: Sequence[int]
) -> bool:
    """Say whether these are all bars: none may be missing before the first, weekends apart.

    A holiday, a night between sessions or the beginning of the symbol cannot be told from bars
    that still load, except by time: the latter come.
    """
    asked = wanted.period
    if asked is None:
        return len(begins_s) >= wanted.bars
    begin_s = begins_s[0] if begins_s else None
    until_s = asked.to_s if begin_s is None else begin_s
    # Of the first bar that is due, the period may have only the end.
    if open_s(asked.from_s, until_s) <= 2 * wanted.length_s:
        return True
    question = (*series, asked.from_s, context.terminal.since_ms)
    return context.bars.for_s(question, begin_s) >= context.settings.order_settle_s


async def _columns(context: Context, call: str, args: tuple[object, ...]) -> past_views.Columns:
    try:
        columns: past_views.Columns = await context.terminal.read(call, *args)
    except TerminalRefused as error:
        if error.of_terminal:
            raise
        # Nothing is there yet: the terminal begins to load (MT5.md 5).
        return {}
    return columns


def _wanted(request: web.Request, timeframe: str, zone_s: int | None) -> _Wanted:
    count = whole(request, "count", default=DEFAULT_BARS, most=MOST_BARS)
    from_s, to_s = moment_s(request, "from"), moment_s(request, "to")
    if from_s is None and to_s is None:
        return _Wanted("copy_rates_from_pos", (0, count), count)
    if from_s is None or "count" in request.query:
        raise InvalidRequest("send count, or from and perhaps to")
    asked = between(from_s, now_ms() // 1000 if to_s is None else to_s, zone_s)
    length_s = _length_s(timeframe)
    if (asked.to_s - asked.from_s) // length_s > MOST_BARS:
        raise InvalidRequest(f"more than {MOST_BARS} bars: ask for a shorter time")
    args = (asked.from_s, asked.to_s)
    return _Wanted("copy_rates_range", args, period=asked, length_s=length_s)


def _length_s(timeframe: str) -> int:
    kind = timeframe.rstrip("0123456789")
    return _LENGTH_S[kind] * int(timeframe.removeprefix(kind))
