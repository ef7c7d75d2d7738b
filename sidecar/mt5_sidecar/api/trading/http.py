# SPDX-License-Identifier: Apache-2.0
"""Trades over HTTP: the body in, the outcome out (docs/orders.md)."""

import contextlib
import math
import posixpath
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web

from mt5_sidecar.api.answers import JSON, CheckAnswer
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.requests.middleware import Handler, named, of_another
from mt5_sidecar.api.requests.operation import caller
from mt5_sidecar.api.requests.parameters import demand_declared
from mt5_sidecar.api.trading.asks import (
    CLIENT_ORDER_ID,
    Fields,
    Wanted,
    ask,
    checked_ticket,
    fields_of,
    for_this_account,
)
from mt5_sidecar.api.trading.asks import wanted as wanted_of
from mt5_sidecar.api.trading.trades import carry_out, demand_trading, ended, refusals
from mt5_sidecar.api.trading.trades import resolve as resolved
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.numbers import fixed, plain
from mt5_sidecar.errors import BridgeError, Misdirected
from mt5_sidecar.logs import bound
from mt5_sidecar.orders import Outcome, parse
from mt5_sidecar.orders.bodies import Operation, Resolution
from mt5_sidecar.orders.errors import BadBody, BadKey, OrderError
from mt5_sidecar.orders.retcodes import retcode_name

KEY_HEADER: Final = "Idempotency-Key"
# order_check says 0 where order_send would say 10009. Source: MT5.md 3.5.
CHECKED_OK: Final = 0
# The one Content-Encoding that changes nothing.
PLAIN: Final = "identity"


def trade(operation: Operation, *, query: tuple[str, ...] = ()) -> Handler:
    """Return the handler that carries out one kind of trade; `query`: what may stand there too."""

    async def carry(request: web.Request) -> web.Response:
        context = request.app[CONTEXT]
        with bound(**named(request)), refusals(context):
            wanted = await _wanted(request, operation, query)
            outcome = await carry_out(context, caller(request), wanted)
        return _answer(request, outcome)

    return carry


async def outcome(request: web.Request) -> web.Response:
    """Answer with what became of a key."""
    found = await request.app[CONTEXT].office.desk.outcome(request.match_info["key"])
    return web.Response(body=encode(found), content_type=JSON)


async def resolve(request: web.Request) -> web.Response:
    """Answer with what became of a key by the caller's word."""
    context = request.app[CONTEXT]
    fields = await _of_this_account(request)
    said = parse(msgspec.json.encode(fields), Resolution)
    with bound(**named(request)):
        told = await resolved(context, caller(request), request.match_info["key"], said)
    return web.Response(body=encode(told), content_type=JSON)


async def check(request: web.Request) -> web.Response:
    """Answer with what the terminal thinks of an order; nothing is sent."""
    context = request.app[CONTEXT]
    demand_trading(context)
    fields = await _of_this_account(request)
    fields.pop(CLIENT_ORDER_ID, None)
    found = await context.office.desk.check(ask("order", fields))
    digits = context.feed.money_digits
    answer = CheckAnswer(
        ok=found.retcode == CHECKED_OK,
        retcode=found.retcode,
        retcode_name=retcode_name(found.retcode) if found.retcode else "OK",
        comment=found.comment,
        balance=fixed(found.balance, digits),
        equity=fixed(found.equity, digits),
        profit=fixed(found.profit, digits),
        margin=fixed(found.margin, digits),
        margin_free=fixed(found.margin_free, digits),
        margin_level=plain(found.margin_level),
    )
    return web.Response(body=encode(answer), content_type=JSON)


async def _wanted(request: web.Request, operation: Operation, query: tuple[str, ...]) -> Wanted:
    context = request.app[CONTEXT]
    try:
        ticket = request.match_info.get("ticket")
        with _one_account(request):
            return wanted_of(
                operation,
                await _fields(request, query),
                account_id=context.settings.account_id,
                header=_key_header(request),
                ticket=0 if ticket is None else checked_ticket(ticket),
            )
    except (OrderError, BridgeError):
        # What cannot be read was never sent, so the plainer reason is told. A key that was used
        # is answered, on or off: "nothing was sent" would be a lie.
        demand_trading(context)
        raise


@contextlib.contextmanager
def _one_account(request: web.Request) -> Iterator[None]:
    try:
        yield
    except Misdirected as error:
        raise of_another(request) from error


def _key_header(request: web.Request) -> str | None:
    keys = request.headers.getall(KEY_HEADER, [])
    if len(keys) > 1:
        # Which of them the caller will ask for is not known.
        raise BadKey(f"{KEY_HEADER} is there more than once")
    return keys[0] if keys else None


async def _body(request: web.Request) -> bytes:
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, PLAIN)
    if encoding.lower() != PLAIN:
        # 60 MB fit 64 KiB, and whoever sends them would hold up everybody's orders.
        raise BadBody("send the body as it is, without Content-Encoding")
    return await request.read()


async def _of_this_account(request: web.Request) -> Fields:
    fields = await _fields(request, ())
    with _one_account(request):
        for_this_account(fields, request.app[CONTEXT].settings.account_id)
    return fields


async def _fields(request: web.Request, query: tuple[str, ...]) -> Fields:
    demand_declared(request, query)
    fields = fields_of(await _body(request))
    for name in query:
        if (value := request.query.get(name)) is None:
            continue
        if name in fields:
            raise BadBody(f"`{name}` is in the body and in the query", field=name)
        fields[name] = msgspec.Raw(msgspec.json.encode(value))
    return fields


def _answer(request: web.Request, outcome: Outcome) -> web.Response:
    if (error := ended(outcome)) is not None:
        raise error
    if outcome.outcome != "Unknown":
        return web.Response(body=encode(outcome), content_type=JSON)
    # As often it is looked for: nobody knows more before.
    again_s = math.ceil(request.app[CONTEXT].settings.order_reconcile_interval_s)
    headers = {"Location": _location(request, outcome.key), "Retry-After": str(again_s)}
    return web.Response(
        body=encode(outcome), status=HTTPStatus.ACCEPTED, headers=headers, content_type=JSON
    )


def _location(request: web.Request, key: str) -> str:
    """Return where the outcome will be, relative: the router's prefix is not known here."""
    target = f"/api/order/{quote(key, safe='')}"
    path = posixpath.relpath(target, start=posixpath.dirname(request.path))
    account_id = request.query.get("account_id")
    return path if account_id is None else f"{path}?account_id={account_id}"
