# SPDX-License-Identifier: Apache-2.0
"""All operations on port 8080, and the other names that the requirements know them by."""

from http import HTTPStatus
from typing import Final

from mt5_sidecar.api import answers
from mt5_sidecar.api.login import connect, disconnect
from mt5_sidecar.api.reads.history import history
from mt5_sidecar.api.reads.performance import performance
from mt5_sidecar.api.reads.rates import rates
from mt5_sidecar.api.reads.snapshots import reader, ticks
from mt5_sidecar.api.reads.status import health, status
from mt5_sidecar.api.reads.symbol_search import symbols
from mt5_sidecar.api.reads.symbols import symbol
from mt5_sidecar.api.requests.middleware import Handler
from mt5_sidecar.api.requests.operation import ASKS_TERMINAL, Operation, in_turn
from mt5_sidecar.api.schemas.asyncapi import asyncapi
from mt5_sidecar.api.schemas.openapi import openapi
from mt5_sidecar.api.trading.operations import TRADES
from mt5_sidecar.api.ws.endpoints import stream
from mt5_sidecar.auth.principal import Scope

_SNAPSHOT_QUERY: Final = ("fields", "max_age")
_SNAPSHOT: Final = frozenset(
    {HTTPStatus.NOT_MODIFIED, HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE}
)
_SEARCH: Final = frozenset({HTTPStatus.BAD_REQUEST, *ASKS_TERMINAL})
_LOOKUP: Final = frozenset({HTTPStatus.NOT_FOUND, *_SEARCH})
_RESUME: Final = ("interval_ms", "epoch", "seq")
_STREAM: Final = ("channels", "symbols", *_RESUME)

HEALTH: Final = (
    Operation(
        method="GET",
        path="/api/health",
        handler=health,
        summary="Is the sidecar alive",
        scope=None,
        answers=answers.Health,
        aliases=("/health",),
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        handler=openapi,
        summary="This description",
        scope=None,
    ),
    Operation(
        method="GET",
        path="/asyncapi.json",
        handler=asyncapi,
        summary="The description of the streams, AsyncAPI 3.0",
        scope=None,
    ),
    Operation(
        method="GET",
        path="/api/status",
        handler=status,
        summary="How the account is connected",
        answers=answers.StatusAnswer,
        aliases=("/status",),
    ),
    Operation(
        method="GET",
        path="/api/performance/metrics",
        handler=performance,
        summary="Counters since the start",
        answers=answers.Performance,
        aliases=("/performance/metrics",),
    ),
)

READS: Final = (
    Operation(
        method="GET",
        path="/api/account",
        handler=reader("account_info"),
        summary="The account",
        may=_SNAPSHOT,
        answers=answers.AccountAnswer,
        query=_SNAPSHOT_QUERY,
        aliases=("/account",),
    ),
    Operation(
        method="GET",
        path="/api/positions",
        handler=reader("positions"),
        summary="Open positions",
        may=_SNAPSHOT,
        answers=answers.PositionsAnswer,
        query=_SNAPSHOT_QUERY,
        aliases=("/positions",),
    ),
    Operation(
        method="GET",
        path="/api/orders",
        handler=reader("orders"),
        summary="Pending orders",
        may=_SNAPSHOT,
        answers=answers.OrdersAnswer,
        query=_SNAPSHOT_QUERY,
        aliases=("/orders",),
    ),
    Operation(
        method="GET",
        path="/api/ticks",
        handler=ticks,
        summary="Last prices of watched symbols, or of those asked for",
        may=_SNAPSHOT | _LOOKUP,
        answers=answers.TicksAnswer,
        query=("symbols", *_SNAPSHOT_QUERY),
        query_aliases=("symbol",),
        aliases=("/ticks",),
    ),
    Operation(
        method="GET",
        path="/api/symbols/{symbol}",
        handler=symbol,
        summary="A symbol's contract and last prices",
        may=_LOOKUP,
        answers=answers.SymbolAnswer,
    ),
    Operation(
        method="GET",
        path="/api/symbols",
        handler=in_turn(symbols),
        summary="Find symbols",
        may=_SEARCH,
        answers=answers.SymbolsAnswer,
        query=("q", "group", "limit", "cursor"),
    ),
    Operation(
        method="GET",
        path="/api/rates",
        handler=in_turn(rates),
        summary="Bars",
        may=_LOOKUP,
        answers=answers.RatesAnswer,
        query=("symbol", "timeframe", "count", "from", "to"),
    ),
    Operation(
        method="GET",
        path="/api/history",
        handler=in_turn(history),
        summary="Deals and orders of the past",
        may=_SEARCH,
        answers=answers.HistoryAnswer,
        query=("days", "from", "to", "limit", "cursor"),
        aliases=("/history",),
    ),
)


def _login(path: str, handler: Handler, summary: str, *aliases: str) -> Operation:
    return Operation(
        method="POST",
        path=path,
        handler=handler,
        summary=summary,
        scope=Scope.ADMIN,
        answers=answers.StatusAnswer,
        aliases=aliases,
    )


LOGIN: Final = (
    _login("/api/connect", connect, "Log in, again if need be", "/connect"),
    _login("/api/disconnect", disconnect, "Log out until /api/connect", "/disconnect"),
)

STREAMS: Final = (
    Operation(
        method="GET",
        path="/ws",
        handler=stream(),
        summary="The account as a stream",
        may=_LOOKUP,
        query=_STREAM,
        aliases=("/websocket/ws",),
        websocket=True,
    ),
    Operation(
        method="GET",
        path="/ws/status",
        handler=stream(account=False),
        summary="The connection's status as a stream",
        query=_RESUME,
        aliases=("/websocket/ws/status",),
        websocket=True,
    ),
    Operation(
        method="GET",
        path="/ws/health",
        handler=stream(account=False, health=True),
        summary="The streams' own health as a stream",
        query=_RESUME,
        aliases=("/websocket/ws/health",),
        websocket=True,
    ),
    Operation(
        method="GET",
        path="/ws/broadcast",
        handler=stream(scope=Scope.ADMIN, account=False),
        summary="Tell everybody who listens to this account",
        scope=Scope.ADMIN,
        query=_RESUME,
        aliases=("/websocket/ws/broadcast",),
        websocket=True,
    ),
)

OPERATIONS: Final = (*HEALTH, *READS, *TRADES, *LOGIN, *STREAMS)
