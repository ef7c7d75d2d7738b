# SPDX-License-Identifier: Apache-2.0
"""Reads of the account: always from the board, so a thousand readers cost the terminal nothing."""

import math
from functools import lru_cache
from typing import Any, Final

from aiohttp import hdrs, web

from mt5_sidecar.api.answers import JSON
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.reads.ready import Ready, fits, head
from mt5_sidecar.api.reads.symbols import checked_symbols, live_ticks
from mt5_sidecar.api.requests.middleware import Handler, parameters
from mt5_sidecar.api.requests.operation import caller
from mt5_sidecar.domain import views
from mt5_sidecar.errors import InvalidRequest, SnapshotTooOld
from mt5_sidecar.streams.channels import Channel
from mt5_sidecar.streams.reads import Fields, Read

FIELDS: Final[dict[Channel, Fields]] = {
    "account_info": views.Account.__struct_fields__,
    "positions": views.PositionView.__struct_fields__,
    "orders": views.OrderView.__struct_fields__,
    "tick_data": views.TickView.__struct_fields__,
}
# The client's own cache may keep it, and asks whether it is still so each time.
REVALIDATED: Final = "private, no-cache"


def reader(channel: Channel) -> Handler:
    """Return the handler that answers with a channel's snapshot."""

    async def read(request: web.Request) -> web.StreamResponse:
        context = request.app[CONTEXT]
        demand_known(context, channel)
        query = parameters(request)
        if query:
            demand_fresh(context, query)
        found = context.reads.read(channel, checked_fields(channel, query) if query else ())
        return _answer(request, found)

    return read


def checked_fields(channel: Channel, query: Any) -> Fields:
    """Return the fields that `?fields=` names, in the channel's own order; none is all.

    Raises:
        InvalidRequest: The channel does not have one of them.
    """
    named = query.get("fields")
    if named is None:
        return ()
    wanted = set(named.split(","))
    if unknown := wanted - set(FIELDS[channel]):
        raise InvalidRequest(f"no such field: {min(unknown)[:64]!r}", fields=FIELDS[channel])
    return tuple(name for name in FIELDS[channel] if name in wanted)


def _answer(request: web.Request, found: Read) -> web.StreamResponse:
    held = request.headers.get(hdrs.IF_NONE_MATCH)
    known = held is not None and (found.etag in held or held == "*")
    if not fits(request):
        return _ordinary(found, known=known)
    if known:
        ready = Ready(_head("304 Not Modified", found.etag, None), b"", status=304)
    else:
        ready = Ready(_head("200 OK", found.etag, len(found.body)), found.body)
    ready.headers[hdrs.CACHE_CONTROL] = REVALIDATED
    return ready


def _ordinary(found: Read, *, known: bool) -> web.Response:
    headers = {hdrs.ETAG: found.etag, hdrs.CACHE_CONTROL: REVALIDATED}
    if known:
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, headers=headers, content_type=JSON)


@lru_cache(maxsize=256)
def _head(status: str, etag: str, size: int | None) -> bytes:
    headers: dict[str, str] = {hdrs.ETAG: etag}
    if size is not None:
        headers |= {hdrs.CONTENT_TYPE: JSON, hdrs.CONTENT_LENGTH: str(size)}
    return head(status, headers)


async def ticks(request: web.Request) -> web.StreamResponse:
    """Answer with prices: of all watched symbols, or of `?symbols=` whether watched or not."""
    context = request.app[CONTEXT]
    query = parameters(request)
    named = query.get("symbols") or query.get("symbol") or None
    if named is None:
        return await _all_ticks(request)
    demand_fresh(context, query)
    fields = checked_fields("tick_data", query)
    symbols = checked_symbols(named)
    watched = frozenset(symbols) & context.board.items("tick_data").keys()
    more = await live_ticks(
        context, caller(request).subject, (name for name in symbols if name not in watched)
    )
    body = context.reads.body("tick_data", watched, more, fields=fields)
    return web.Response(body=body, content_type=JSON)


_all_ticks: Final = reader("tick_data")


def demand_known(context: Context, channel: Channel) -> None:
    """Return if the channel was ever seen, raise the reason why not otherwise."""
    if not context.board.version(channel):
        raise context.terminal.unavailable()


def demand_fresh(context: Context, query: Any) -> None:
    """Return if the board is as young as `?max_age=` (seconds) asks.

    Raises:
        InvalidRequest: it is not a number of seconds.
        SnapshotTooOld: it is older.
    """
    asked = query.get("max_age")
    if asked is None:
        return
    age_s = context.feed.freshness.age_s
    if age_s > _seconds(asked):
        reason = context.terminal.connection.reason
        raise SnapshotTooOld(f"the account was last current {age_s:.1f} s ago", reason=reason)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InvalidRequest("max_age must be a number of seconds, 0 or more")
    return value
