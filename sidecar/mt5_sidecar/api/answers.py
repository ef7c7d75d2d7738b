# SPDX-License-Identifier: Apache-2.0
"""The bodies of 200 answers: what OpenAPI shows, and what the tests decode answers with."""

from typing import Final

import msgspec

from mt5_sidecar.domain.numbers import Number
from mt5_sidecar.domain.past_views import BarView, DealView, PastOrderView
from mt5_sidecar.domain.symbol_view import SymbolView
from mt5_sidecar.domain.views import Account, OrderView, PositionView, TickView
from mt5_sidecar.streams.status import Status

JSON: Final = "application/json"


class Health(msgspec.Struct, frozen=True):
    """The sidecar answers. Says nothing of the account, so it needs no key."""

    status: str
    version: str
    time: str


class Versions(msgspec.Struct, frozen=True):
    """What runs in the pod; empty or 0 while not known.

    `python` is the interpreter beside the terminal, which imports `package`.
    """

    sidecar: str
    sidecar_python: str
    agent: str
    python: str
    package: str
    terminal_build: int
    backend: str


class StatusAnswer(Status, frozen=True, kw_only=True):
    """The connection in detail; times are UTC, `instance_id` is the pod's name.

    `utc_offset_s` is the broker's clock minus UTC; `utc_offset_sure`: ticks of several seconds
    agreed on it, or it is configured. `journal`: the problem that trades get for the order journal,
    `journal-failed` say; empty while it is well.
    """

    account_id: str
    instance_id: str
    login: int
    server: str
    platform: str
    slot: str
    credentials: str
    last_contact: str | None
    trade_allowed: bool | None
    trading_enabled: bool
    journal: str
    utc_offset_s: int | None
    utc_offset_sure: bool
    versions: Versions
    websocket_clients: int


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What every snapshot says of itself.

    `version` grows with each change; `time` is when this version was seen; `stale` is true while
    the terminal is away, since `stale_since`; `utc_offset_s` is the broker's clock minus UTC.
    """

    version: int
    time: str
    stale: bool
    stale_since: str | None
    utc_offset_s: int | None


class AccountAnswer(Envelope, frozen=True, kw_only=True):
    """The account."""

    account: Account


class PositionsAnswer(Envelope, frozen=True, kw_only=True):
    """All open positions."""

    positions: list[PositionView]


class OrdersAnswer(Envelope, frozen=True, kw_only=True):
    """All pending orders."""

    orders: list[OrderView]


class TicksAnswer(Envelope, frozen=True, kw_only=True):
    """Last prices of watched symbols."""

    ticks: list[TickView]


class SymbolAnswer(msgspec.Struct, frozen=True):
    """A symbol's contract and last prices, asked of the terminal now."""

    symbol: SymbolView
    utc_offset_s: int | None


class CheckAnswer(msgspec.Struct, frozen=True):
    """What the terminal thinks of an order; money in the account's currency, level in percent.

    `ok`: it would be sent; the broker may still say no.
    """

    ok: bool
    retcode: int
    retcode_name: str
    comment: str
    balance: Number | None
    equity: Number | None
    profit: Number | None
    margin: Number | None
    margin_free: Number | None
    margin_level: Number | None


class HistoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the past, oldest first; `cursor` leads to the next one, null on the last.

    `complete`: the terminal has loaded its history, as far as can be told.
    """

    from_: str | None = msgspec.field(name="from")
    to: str | None
    complete: bool
    deals: list[DealView]
    orders: list[PastOrderView]
    cursor: str | None
    utc_offset_s: int | None


class RatesAnswer(msgspec.Struct, frozen=True):
    """Bars, oldest first; the last one may not be over.

    `complete`: as many as were asked for, or all since `from`; else the terminal still loads, or
    has no more.
    """

    symbol: str
    timeframe: str
    complete: bool
    bars: list[BarView]
    utc_offset_s: int | None


class SymbolBrief(msgspec.Struct, frozen=True):
    """A symbol, in short. `select`: it is in Market Watch."""

    name: str
    description: str
    path: str
    currency_base: str
    currency_profit: str
    digits: int
    select: bool
    trade_mode: int


class SymbolsAnswer(msgspec.Struct, frozen=True):
    """A page of symbols by name; `total` are found, `cursor` leads to the next page."""

    symbols: list[SymbolBrief]
    total: int
    cursor: str | None


class Kept(msgspec.Struct, frozen=True):
    """A part of the account as it is held: how old, how large."""

    version: int
    items: int
    age_s: float | None


class Performance(msgspec.Struct, frozen=True):
    """Counters since the sidecar started; the same are at /metrics for Prometheus.

    Times are in seconds; percentiles are the upper bound of the histogram's bucket.
    """

    uptime_s: float
    cache_hit_rate: float | None
    cache_bodies: int
    snapshot_reads: dict[str, float]
    snapshots: dict[str, Kept]
    agent_calls: dict[str, float]
    agent_calls_by_outcome: dict[str, float]
    agent_call_seconds_mean: float | None
    agent_call_seconds_mean_by_call: dict[str, float]
    agent_calls_waiting: float
    agent_connections: float
    terminal_events: dict[str, float]
    http_requests: float
    http_requests_by_status: dict[str, float]
    http_request_seconds_mean: float | None
    http_request_seconds_p50: float | None
    http_request_seconds_p95: float | None
    http_request_seconds_p99: float | None
    sign_ins: dict[str, float]
    orders: dict[str, float]
    orders_refused: dict[str, float]
    orders_waiting: float
    orders_unknown: float
    journal_write_seconds_mean: float | None
    websocket_clients: float
    websocket_messages: dict[str, float]
    websocket_conflated: float
    websocket_conflated_bytes: float
    websocket_flush_seconds_mean: float | None
    websocket_closed: dict[str, float]


class StreamHealth(msgspec.Struct, frozen=True):
    """How the streams of this pod are, on /ws/health."""

    status: str
    version: str
    time: str
    uptime_s: float
    connected: bool
    stale: bool
    clients: int
    clients_limit: int
    slow_clients: int
    messages: int
    conflated: int
