# SPDX-License-Identifier: Apache-2.0
"""Reads of the account: always from the board, so a thousand readers cost the terminal nothing."""

import math

from aiohttp import web

from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.middleware import Handler
from mt5_sidecar.api.status import JSON
from mt5_sidecar.api.symbols import checked_symbols, live_tick
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.errors import InvalidRequest, SnapshotTooOld
from mt5_sidecar.streams.channels import Channel


def reader(channel: Channel) -> Handler:
    """Return the handler that answers with a channel's snapshot."""

    async def read(request: web.Request) -> web.Response:
        context = request.app[CONTEXT]
        demand_known(context, channel)
        demand_fresh(context, request)
        etag = context.reads.etag(channel)
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        body = context.reads.read(channel).body
        return web.Response(body=body, headers=headers, content_type=JSON)

    return read


async def ticks(request: web.Request) -> web.StreamResponse:
    """Answer with prices: of all watched symbols, or of `?symbols=` whether watched or not."""
    context = request.app[CONTEXT]
    named = request.query.get("symbols") or request.query.get("symbol") or None
    if named is None:
        return await reader("tick_data")(request)
    demand_fresh(context, request)
    symbols = checked_symbols(named)
    watched = frozenset(symbols) & context.board.items("tick_data").keys()
    more = [await live_tick(context, name) for name in symbols if name not in watched]
    body = context.reads.body("tick_data", watched, tuple(more))
    return web.Response(body=body, content_type=JSON)


def demand_known(context: Context, channel: Channel) -> None:
    """Return if the channel was ever seen, raise the reason why not otherwise."""
    if not context.board.version(channel):
        raise context.terminal.unavailable()


def demand_fresh(context: Context, request: web.Request) -> None:
    """Return if the board is as young as `?max_age=` (seconds) asks.

    Raises:
        InvalidRequest: it is not a number of seconds.
        SnapshotTooOld: it is older.
    """
    asked = request.query.get("max_age")
    if asked is None:
        return
    age_s = (now_ms() - context.feed.contact_ms) / 1000
    if age_s > _seconds(asked):
        reason = context.terminal.connection.reason
        raise SnapshotTooOld("the terminal was last heard of earlier", reason=reason)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InvalidRequest("max_age must be a number of seconds, 0 or more")
    return value
