# SPDX-License-Identifier: Apache-2.0
"""Trades: what became of them, and what waits."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from mt5_sidecar.metrics.timing import durations


class OrderMetrics:
    """Of orders and everything else that trades, and of their journal."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "mt5_sidecar_orders",
            "Trades with an outcome; an unknown one counts again when it is resolved",
            ("operation", "outcome"),
            registry=registry,
        )
        self.refusals = Counter(
            "mt5_sidecar_order_refusals",
            "Trades that were not tried, by problem",
            ("problem",),
            registry=registry,
        )
        self.unknown = Gauge(
            "mt5_sidecar_orders_unknown",
            "Trades whose outcome is being looked for",
            registry=registry,
        )
        self.ambiguous = Gauge(
            "mt5_sidecar_orders_ambiguous",
            "Trades of whose outcome a person must say which order it is",
            registry=registry,
        )
        self.waiting = Gauge(
            "mt5_sidecar_orders_waiting",
            "Trades that are being carried out or wait",
            registry=registry,
        )
        self.ready = Gauge(
            "mt5_sidecar_orders_ready",
            "1 while a trade would be taken and the journal is well",
            registry=registry,
        )
        self.journal_writes = durations(
            registry,
            "mt5_sidecar_journal_write_seconds",
            "Time of a durable write of the order journal, disk sync included",
        )
