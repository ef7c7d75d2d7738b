# SPDX-License-Identifier: Apache-2.0
"""Bars of a symbol, asked of the terminal now."""

from typing import Final

from aiohttp import web

from mt5_sidecar.api.answers import RatesAnswer
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.parameters import moment_s, whole
from mt5_sidecar.api.period import between
from mt5_sidecar.api.status import JSON
from mt5_sidecar.api.symbols import checked_symbol, symbol_info
from mt5_sidecar.domain import past_views
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.names import TIMEFRAMES
from mt5_sidecar.errors import InvalidRequest, TerminalRefused

DEFAULT_BARS: Final = 100
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
    call, args, expected = _call(request, timeframe, context.feed.zone_s)
    columns = await _columns(context, name, call, (name, TIMEFRAMES[timeframe], *args))
    zone_s = context.feed.zone_s
    bars = past_views.bars(columns, context.feed.contracts.get(name), zone_s=zone_s)
    answer = RatesAnswer(name, timeframe, len(bars) >= expected, bars, zone_s)
    return web.Response(body=encode(answer), content_type=JSON)


async def _columns(
    context: Context, name: str, call: str, args: tuple[object, ...]
) -> past_views.Columns:
    info = await symbol_info(context, name)
    if not info.select:
        await context.terminal.call("symbol_select", name, True)  # noqa: FBT003  the package's
    try:
        columns: past_views.Columns = await context.terminal.call(call, *args)
    except TerminalRefused as error:
        if error.of_terminal:
            raise
        # Nothing is there yet: the terminal begins to load (MT5.md 5).
        return {}
    return columns


def _call(
    request: web.Request, timeframe: str, zone_s: int | None
) -> tuple[str, tuple[int, ...], int]:
    """Return the package's function, its arguments, and how many bars must come at least."""
    count = whole(request, "count", default=DEFAULT_BARS, most=MOST_BARS)
    from_s, to_s = moment_s(request, "from"), moment_s(request, "to")
    if from_s is None and to_s is None:
        return "copy_rates_from_pos", (0, count), count
    if from_s is None or "count" in request.query:
        raise InvalidRequest("send count, or from and perhaps to")
    asked = between(from_s, now_ms() // 1000 if to_s is None else to_s, zone_s)
    if (asked.to_s - asked.from_s) // _length_s(timeframe) > MOST_BARS:
        raise InvalidRequest(f"more than {MOST_BARS} bars: ask for a shorter time")
    return "copy_rates_range", (asked.from_s, asked.to_s), 1


def _length_s(timeframe: str) -> int:
    kind = timeframe.rstrip("0123456789")
    return _LENGTH_S[kind] * int(timeframe.removeprefix(kind))
