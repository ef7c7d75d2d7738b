# SPDX-License-Identifier: Apache-2.0
"""The account as the sidecar shows it: the connection, and the snapshots."""

import math
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge


class AccountMetrics:
    """Of the one account: whether what is shown is current, and what is taken in and read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connected = Gauge(
            "mt5_sidecar_connected", "1 while logged in and synchronised", registry=registry
        )
        self.stale = Gauge(
            "mt5_sidecar_stale", "1 while snapshots are not current", registry=registry
        )
        self.unshown = Gauge(
            "mt5_sidecar_unshown",
            "Parts of the account (positions, orders) that are too large to be told",
            registry=registry,
        )
        self.watched_symbols = Gauge(
            "mt5_sidecar_watched_symbols",
            "Symbols that are polled: those of the account's spec and what streams named",
            registry=registry,
        )
        self.broker_utc_offset_s = Gauge(
            "mt5_sidecar_broker_utc_offset_seconds",
            "The broker's clock minus UTC; not a number until known",
            registry=registry,
        )
        self.broker_utc_offset_s.set(math.nan)
        self.snapshots = Counter(
            "mt5_sidecar_snapshots", "Snapshots taken in", ("kind",), registry=registry
        )
        self.reads = Counter(
            "mt5_sidecar_snapshot_reads",
            "Reads of a snapshot: its body was there (kept) or had to be made",
            ("body",),
            registry=registry,
        )
        self.bodies_kept, self.bodies_made = self.reads.labels("kept"), self.reads.labels("made")
        self._snapshots = cache(self.snapshots.labels)

    def taken_in(self, kind: str) -> None:
        """Count one snapshot of the agent."""
        self._snapshots(kind).inc()
