# SPDX-License-Identifier: Apache-2.0
"""What WebSocket clients ask."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter

from mt5_sidecar.metrics.timing import durations


class CommandMetrics:
    """Of the messages of WebSocket clients: what became of them, and how soon."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.commands = Counter(
            "mt5_sidecar_ws_commands",
            "Messages from WebSocket clients",
            ("type", "outcome"),
            registry=registry,
        )
        self.seconds = durations(
            registry,
            "mt5_sidecar_ws_command_seconds",
            "Time from a client's message to its answer",
            ("type",),
        )
        self._commands, self._seconds = cache(self.commands.labels), cache(self.seconds.labels)

    def answered(self, type_: str, outcome: str, *, seconds: float) -> None:
        """Count one message that was answered."""
        self._commands(type_, outcome).inc()
        self._seconds(type_).observe(seconds)
