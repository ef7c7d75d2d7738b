# SPDX-License-Identifier: Apache-2.0
"""What handlers share: put together once by `app`, found under one typed key."""

import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from mt5_sidecar.api.context.catalogue import Catalogue
from mt5_sidecar.api.context.settled import Settled
from mt5_sidecar.api.context.sockets import Sockets
from mt5_sidecar.api.limits.requests import Limits
from mt5_sidecar.api.limits.selected import Selected
from mt5_sidecar.api.limits.turns import Turns
from mt5_sidecar.auth.access import Access
from mt5_sidecar.metrics import Metrics
from mt5_sidecar.orders.office import Office
from mt5_sidecar.settings import Settings
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.feed import Feed
from mt5_sidecar.streams.reads import Reads
from mt5_sidecar.terminal.evidence import EvidenceKeeper
from mt5_sidecar.terminal.terminal import Terminal
from mt5_sidecar.tracing import Tracing


@dataclass(slots=True)
class Pulse:
    """When the housekeeping last ran, on the monotonic clock."""

    at_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a running sidecar."""

    settings: Settings
    metrics: Metrics
    access: Access
    terminal: Terminal
    evidence: EvidenceKeeper
    board: Board
    feed: Feed
    reads: Reads
    office: Office
    catalogue: Catalogue
    limits: Limits
    selected: Selected
    turns: Turns
    tracing: Tracing
    sockets: Sockets = field(default_factory=Sockets)
    bars: Settled = field(default_factory=Settled)
    pulse: Pulse = field(default_factory=Pulse)
    started_s: float = field(default_factory=time.monotonic)


CONTEXT: Final = web.AppKey("context", Context)
