# SPDX-License-Identifier: Apache-2.0
"""The data of what a stream says beside the account itself; /asyncapi.json shows these types."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mt5_sidecar.api.ws.subscriptions import Subscribed
from mt5_sidecar.orders import Outcome
from mt5_sidecar.streams.status import Status

Problem = dict[str, Any]
"""RFC 9457, as over HTTP."""


class ApiVersions(msgspec.Struct, frozen=True):
    """`api` grows when a message changes its meaning."""

    api: int
    sidecar: str


class Limits(msgspec.Struct, frozen=True):
    """What a client may ask of a stream, and how long it may be silent or slow."""

    message_bytes: int
    messages_per_s: int
    message_burst: int
    symbols: int
    heartbeat_interval_s: float
    stall_timeout_s: float


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The first message. `recovered`: all that was missed follows; else a snapshot does, and until
    it has come `seq` is 0: nothing to resume from."""

    epoch: str
    seq: int
    recovered: bool
    account_id: str
    versions: ApiVersions
    features: list[str]
    subscribed: Subscribed
    status: Status
    limits: Limits


class Beat(msgspec.Struct, frozen=True):
    """Our heartbeat; `seq` is where this client may resume."""

    seq: int


class Echo(msgspec.Struct, frozen=True):
    """The answer to a client's heartbeat."""

    time: str
    echo: Any


class Listeners(msgspec.Struct, frozen=True):
    """How many streams were open when the broadcast was told."""

    listeners: int


class TradeTold(Outcome, frozen=True, kw_only=True):
    """What became of a trade; `problem` where it was not carried out."""

    ok: bool
    problem: Problem | UnsetType = UNSET


class TradeFailed(msgspec.Struct, frozen=True):
    """Nothing was sent now. `outcome` is null: `NotSent` is proof, and allows a new key; who could
    not even look for the key has none."""

    ok: bool
    problem: Problem
    outcome: None = None


class CommandResult(msgspec.Struct, frozen=True):
    """What a command led to: a trade's result, or the snapshot as over HTTP."""

    command: str
    ok: bool
    result: Any
