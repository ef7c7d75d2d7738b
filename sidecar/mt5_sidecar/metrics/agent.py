# SPDX-License-Identifier: Apache-2.0
"""The agent: its connections, its calls, and what it tells of its own work."""

from collections.abc import Mapping, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge

from mt5_agent.protocol import POLLS
from mt5_sidecar.metrics.timing import durations


class AgentMetrics:
    """Of the agent's connection: what is asked of it, and how long its own polls take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Counter(
            "mt5_sidecar_agent_connections", "Agents that connected", registry=registry
        )
        self.calls = durations(
            registry,
            "mt5_sidecar_agent_call_seconds",
            "Time from asking the agent to its answer",
            ("call", "outcome"),
        )
        self.waiting = Gauge(
            "mt5_sidecar_agent_calls_waiting",
            "Calls that the agent has not answered",
            registry=registry,
        )
        self.polls = durations(
            registry,
            "mt5_poll_duration_seconds",
            "Time of one look of the agent's poll, waiting behind other calls included",
            ("call",),
        )
        self.events = Gauge(
            "mt5_sidecar_terminal_events",
            "What the agent counted since it started: logins, drops, restarts",
            ("kind",),
            registry=registry,
        )
        self._calls = cache(self.calls.labels)

    def called(self, call: str, outcome: str, *, seconds: float) -> None:
        """Count one call of the agent."""
        self._calls(call, outcome).observe(seconds)

    def polled(self, times_us: Mapping[str, Sequence[int]]) -> None:
        """Take in how long the agent's looks took; a later agent may have looks unknown here."""
        for call in POLLS & times_us.keys():
            poll = self.polls.labels(call)
            for time_us in times_us[call]:
                poll.observe(time_us / 1e6)
