# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics. Label values come from closed sets only: routes, calls, types, codes."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mt5_agent.protocol import POLLS

FAST_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.15, 0.5, 2.0, 10.0)


class _Children(dict[str, Counter]):
    """A counter's children by its one label, bound: to find one by its label takes 5 us, and 30
    where nobody did for a while."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def __missing__(self, label: str) -> Counter:
        child = self[label] = self._counter.labels(label)
        return child


class Metrics:
    """One registry for one sidecar, so that tests can make as many as they like."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=r)
        self.requests = Histogram(
            "mt5_sidecar_http_request_seconds",
            "Time from the request's arrival to its answer",
            ("method", "route", "status"),
            buckets=FAST_S,
            registry=r,
        )
        self.messages_sent = self.conflated = 0
        self._answers: dict[tuple[str, str, int], Histogram] = {}
        self._calls: dict[tuple[str, str], Histogram] = {}
        self.agent_calls = Histogram(
            "mt5_sidecar_agent_call_seconds",
            "Time from asking the agent to its answer",
            ("call", "outcome"),
            buckets=FAST_S,
            registry=r,
        )
        self.polls = Histogram(
            "mt5_poll_duration_seconds",
            "Time of one look of the agent's poll, waiting behind other calls included",
            ("call",),
            buckets=FAST_S,
            registry=r,
        )
        self.agent_waiting = Gauge(
            "mt5_sidecar_agent_calls_waiting", "Calls that the agent has not answered", registry=r
        )
        self.terminal_events = Gauge(
            "mt5_sidecar_terminal_events",
            "What the agent counted since it started: logins, drops, restarts",
            ("kind",),
            registry=r,
        )
        self.broker_offset = Gauge(
            "mt5_sidecar_broker_utc_offset_seconds",
            "The broker's clock minus UTC; not a number until known",
            registry=r,
        )
        self.broker_offset.set(math.nan)
        sign_ins = Counter(
            "mt5_sidecar_sign_ins",
            "Requests by what became of their key or token: accepted, or the problem",
            ("outcome",),
            registry=r,
        )
        self.sign_ins, self.accepted = sign_ins, sign_ins.labels("accepted")
        self.connected = Gauge(
            "mt5_sidecar_connected", "1 while logged in and synchronised", registry=r
        )
        self.stale = Gauge("mt5_sidecar_stale", "1 while snapshots are not current", registry=r)
        self.unshown = Gauge(
            "mt5_sidecar_unshown",
            "Parts of the account (positions, orders) that are too large to be told",
            registry=r,
        )
        self.access_unreadable = Gauge(
            "mt5_sidecar_access_unreadable",
            "Entries and files of the access volume that could not be read since the start",
            registry=r,
        )
        self.account_unreadable = Gauge(
            "mt5_sidecar_account_unreadable",
            "1 while account.json cannot be read: trading is off",
            registry=r,
        )
        self.settings_reloads = Counter(
            "mt5_sidecar_settings_reloads",
            "Changes of the settings' files: applied, refused, or waiting for a new pod",
            ("outcome",),
            registry=r,
        )
        self.agent_connections = Counter(
            "mt5_sidecar_agent_connections", "Agents that connected", registry=r
        )
        self.snapshots = Counter(
            "mt5_sidecar_snapshots", "Snapshots taken in", ("kind",), registry=r
        )
        self._snapshots = _Children(self.snapshots)
        reads = Counter(
            "mt5_sidecar_snapshot_reads",
            "Reads of a snapshot: its body was there (kept) or had to be made",
            ("body",),
            registry=r,
        )
        self.snapshot_kept, self.snapshot_made = reads.labels("kept"), reads.labels("made")
        self.snapshot_reads = reads
        self.sockets = Gauge("mt5_sidecar_ws_clients", "Open WebSockets", registry=r)
        self.watched = Gauge(
            "mt5_sidecar_watched_symbols",
            "Symbols that are polled: those of the account's spec and what streams named",
            registry=r,
        )
        self.ws_messages = Counter(
            "mt5_sidecar_ws_messages", "Messages to WebSocket clients", ("type",), registry=r
        )
        self._messages = _Children(self.ws_messages)
        self.ws_conflated = Counter(
            "mt5_sidecar_ws_conflated", "Flushes put off because a client was slow", registry=r
        )
        self.ws_conflated_bytes = Counter(
            "mt5_sidecar_ws_conflated_bytes",
            "Bytes of state that slow clients were not sent: they get what is newest instead",
            registry=r,
        )
        self.ws_flushes = Histogram(
            "mt5_sidecar_ws_flush_seconds",
            "Time to hand a change to clients, of whom up to 128 are served in a turn of the loop",
            buckets=FAST_S,
            registry=r,
        )
        self.ws_command_seconds = Histogram(
            "mt5_sidecar_ws_command_seconds",
            "Time from a client's message to its answer",
            ("type",),
            buckets=FAST_S,
            registry=r,
        )
        self.ws_closed = Counter(
            "mt5_sidecar_ws_closed", "WebSockets that we closed", ("code",), registry=r
        )
        self.orders = Counter(
            "mt5_sidecar_orders",
            "Trades with an outcome; an unknown one counts again when it is resolved",
            ("operation", "outcome"),
            registry=r,
        )
        self.order_refusals = Counter(
            "mt5_sidecar_order_refusals",
            "Trades that were not tried, by problem",
            ("problem",),
            registry=r,
        )
        self.orders_unknown = Gauge(
            "mt5_sidecar_orders_unknown", "Trades whose outcome is being looked for", registry=r
        )
        self.orders_waiting = Gauge(
            "mt5_sidecar_orders_waiting", "Trades that are being carried out or wait", registry=r
        )
        self.orders_ready = Gauge(
            "mt5_sidecar_orders_ready", "1 while a trade would be taken", registry=r
        )
        self.journal_writes = Histogram(
            "mt5_sidecar_journal_write_seconds",
            "Time of a durable write of the order journal, disk sync included",
            buckets=FAST_S,
            registry=r,
        )
        self.ws_commands = Counter(
            "mt5_sidecar_ws_commands",
            "Messages from WebSocket clients",
            ("type", "outcome"),
            registry=r,
        )

    def answered(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Count one HTTP answer; `route` is the pattern, never the path."""
        answers = self._answers.get((method, route, status))
        if answers is None:
            # To find a child by its labels takes 5 us, and there are a few dozen of them.
            answers = self._answers[method, route, status] = self.requests.labels(
                method, route, str(status)
            )
        answers.observe(seconds)

    def called(self, call: str, outcome: str, *, seconds: float) -> None:
        """Count one call of the agent."""
        calls = self._calls.get((call, outcome))
        if calls is None:
            calls = self._calls[call, outcome] = self.agent_calls.labels(call, outcome)
        calls.observe(seconds)

    def polled(self, times_us: Mapping[str, Sequence[int]]) -> None:
        """Take in how long the agent's looks took; a later agent may have looks unknown here."""
        for call in POLLS & times_us.keys():
            poll = self.polls.labels(call)
            for time_us in times_us[call]:
                poll.observe(time_us / 1e6)

    def sent(self, messages: Mapping[str, int]) -> None:
        """Count messages handed to WebSocket clients, by type."""
        for type_, count in messages.items():
            self.messages_sent += count
            self._messages[type_].inc(count)

    def taken_in(self, kind: str) -> None:
        """Count one snapshot of the agent."""
        self._snapshots[kind].inc()

    def held_back(self, spared_bytes: int) -> None:
        """Count a flush that a slow client does not get yet, and the state that was in it."""
        self.conflated += 1
        self.ws_conflated.inc()
        self.ws_conflated_bytes.inc(spared_bytes)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
