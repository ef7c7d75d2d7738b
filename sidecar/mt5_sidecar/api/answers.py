# SPDX-License-Identifier: Apache-2.0
"""The bodies of 200 answers: what OpenAPI shows, and what the tests decode answers with."""

import msgspec

from mt5_sidecar.domain.numbers import Number
from mt5_sidecar.domain.symbol_view import SymbolView
from mt5_sidecar.domain.views import Account, OrderView, PositionView, TickView
from mt5_sidecar.streams.status import Status


class Health(msgspec.Struct, frozen=True):
    """The sidecar answers. Says nothing of the account, so it needs no key."""

    status: str
    version: str
    time: str


class Versions(msgspec.Struct, frozen=True):
    """What runs in the pod; empty or 0 while not known."""

    sidecar: str
    agent: str
    package: str
    terminal_build: int
    backend: str


class StatusAnswer(Status, frozen=True, kw_only=True):
    """The connection in detail; times are UTC."""

    account_id: str
    login: int
    server: str
    platform: str
    slot: str
    credentials: str
    last_contact: str | None
    trade_allowed: bool | None
    trading_enabled: bool
    utc_offset_s: int | None
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


class Performance(msgspec.Struct, frozen=True):
    """Counters since the sidecar started; the same are at /metrics for Prometheus."""

    cache_hit_rate: float | None
    snapshot_reads: dict[str, float]
    agent_calls: dict[str, float]
    agent_call_seconds_mean: float | None
    http_requests: float
    http_request_seconds_mean: float | None
    websocket_clients: float
    websocket_messages: dict[str, float]
    websocket_conflated: float
