# SPDX-License-Identifier: Apache-2.0
"""WebSockets: how many there are, what they are sent, and what slow ones are spared."""

from collections.abc import Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge

from mt5_sidecar.metrics.timing import durations


class StreamMetrics:
    """Of all WebSockets together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sockets = Gauge("mt5_sidecar_ws_clients", "Open WebSockets", registry=registry)
        self.closed = Counter(
            "mt5_sidecar_ws_closed", "WebSockets that we closed", ("code",), registry=registry
        )
        self.messages = Counter(
            "mt5_sidecar_ws_messages",
            "Messages to WebSocket clients",
            ("type",),
            registry=registry,
        )
        self.conflated = Counter(
            "mt5_sidecar_ws_conflated",
            "Flushes put off because a client was slow",
            registry=registry,
        )
        self.conflated_bytes = Counter(
            "mt5_sidecar_ws_conflated_bytes",
            "Bytes of state that slow clients were not sent: they get what is newest instead",
            registry=registry,
        )
        self.flushes = durations(
            registry,
            "mt5_sidecar_ws_flush_seconds",
            "Time to hand a change to clients, of whom up to 128 are served in a turn of the loop",
        )
        # As numbers too, for clients who ask how the streams are: a counter is read by collecting.
        self.sent_total = self.held_back_total = 0
        self._messages = cache(self.messages.labels)

    def sent(self, messages: Mapping[str, int]) -> None:
        """Count messages handed to WebSocket clients, by type."""
        for type_, count in messages.items():
            self.sent_total += count
            self._messages(type_).inc(count)

    def held_back(self, spared_bytes: int) -> None:
        """Count a flush that a slow client does not get yet, and the state that was in it."""
        self.held_back_total += 1
        self.conflated.inc()
        self.conflated_bytes.inc(spared_bytes)
