# SPDX-License-Identifier: Apache-2.0
"""Deals and orders of the past, a page at a time."""

import re
from typing import Final, NamedTuple

from aiohttp import web

from mt5_agent.protocol import Deal, Order
from mt5_sidecar.api.answers import JSON, HistoryAnswer
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.reads.period import Period, period
from mt5_sidecar.api.requests.parameters import whole
from mt5_sidecar.domain import past_views
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.errors import InvalidRequest

PAGE: Final = 500
# Part of the API, as MOST_DAYS.
LARGEST_PAGE: Final = 1000
# Twice this many records of some 200 bytes fit one frame of the agent, so this is no setting.
MOST_RECORDS: Final = 20_000

_CURSOR: Final = re.compile(r"(\d{1,16})-([do])-(\d{1,19})")


class Place(NamedTuple):
    """Where a record stands: broker time in milliseconds, deal or order, ticket."""

    time_ms: int
    kind: str
    ticket: int


async def history(request: web.Request) -> web.Response:
    """Answer with a page of deals and orders."""
    context = request.app[CONTEXT]
    asked = period(request, context.feed.zone_s)
    limit = whole(request, "limit", default=PAGE, most=LARGEST_PAGE)
    after = _after(request.query.get("cursor"))
    deals, orders = await _records(context, asked)
    places = sorted((*deals, *orders))
    page = [place for place in places if after is None or place > after][:limit]
    more = bool(page) and page[-1] != places[-1]
    answer = _answer(
        context,
        asked,
        [deals[p] for p in page if p in deals],
        [orders[p] for p in page if p in orders],
        cursor=_cursor(page[-1]) if more else None,
        complete=_complete(context, asked, deals),
    )
    return web.Response(body=encode(answer), content_type=JSON)


def _answer(
    context: Context,
    asked: Period,
    deals: list[Deal],
    orders: list[Order],
    *,
    cursor: str | None,
    complete: bool,
) -> HistoryAnswer:
    zone_s, contract = context.feed.zone_s, context.feed.contracts.get
    digits = context.feed.money_digits
    first, last = asked.utc
    return HistoryAnswer(
        from_=first,
        to=last,
        complete=complete,
        deals=[
            past_views.deal(d, contract(d.symbol), money_digits=digits, zone_s=zone_s)
            for d in deals
        ],
        orders=[past_views.past_order(o, contract(o.symbol), zone_s=zone_s) for o in orders],
        cursor=cursor,
        utc_offset_s=zone_s,
    )


async def _records(context: Context, asked: Period) -> tuple[dict[Place, Deal], dict[Place, Order]]:
    window = (asked.from_s, asked.to_s)
    for kind in ("history_deals_total", "history_orders_total"):
        if await context.terminal.read(kind, *window) > MOST_RECORDS:
            raise InvalidRequest(f"more than {MOST_RECORDS} records: ask for a shorter time")
    deals: list[Deal] = await context.terminal.read("history_deals_get", *window)
    orders: list[Order] = await context.terminal.read("history_orders_get", *window)
    return (
        {Place(d.time_msc, "d", d.ticket): d for d in deals},
        {Place(o.time_done_msc or o.time_setup_msc, "o", o.ticket): o for o in orders},
    )


def _complete(context: Context, asked: Period, deals: dict[Place, Deal]) -> bool:
    """Say whether history is whole: it had time to load, and holds how each position began."""
    terminal = context.terminal
    settled_ms = terminal.since_ms + context.settings.order_settle_s * 1000
    if not terminal.connection.connected or now_ms() < settled_ms:
        return False
    begun = {deal.position_id for deal in deals.values()}
    return all(
        position.identifier in begun
        for position in context.feed.positions
        if asked.has(position.time_msc)
    )


def _cursor(place: Place) -> str:
    return f"{place.time_ms}-{place.kind}-{place.ticket}"


def _after(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidRequest("cursor is none of ours: send back what the page before said")
    return Place(int(match[1]), match[2], int(match[3]))
