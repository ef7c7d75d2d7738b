# SPDX-License-Identifier: Apache-2.0
"""The counters as JSON, for who has no Prometheus."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable

from aiohttp import web
from prometheus_client.metrics_core import Metric

from mt5_sidecar.api.answers import JSON, Kept, Performance
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.streams.channels import CHANNELS, Channel


async def performance(request: web.Request) -> web.Response:
    """Answer with the counters."""
    body = encode(performance_answer(request.app[CONTEXT]))
    return web.Response(body=body, content_type=JSON)


def performance_answer(context: Context) -> Performance:
    """Return the counters since the start."""
    m = context.metrics
    reads = _by_label(m.account.reads.collect(), "_total", "body")
    refused = _by_label(m.orders.refusals.collect(), "_total", "problem")
    calls, requests = list(m.agent.calls.collect()), list(m.http.requests.collect())
    return Performance(
        uptime_s=round(time.monotonic() - context.started_s, 3),
        cache_hit_rate=_share(reads["kept"], sum(reads.values())),
        cache_bodies=context.reads.bodies,
        snapshot_reads=reads,
        snapshots={channel: _kept(context, channel) for channel in CHANNELS},
        agent_calls=_by_label(calls, "_count", "call"),
        agent_calls_by_outcome=_by_label(calls, "_count", "outcome"),
        agent_call_seconds_mean=_mean(calls),
        agent_call_seconds_mean_by_call=_means(calls, "call"),
        agent_calls_waiting=_sum(m.agent.waiting.collect(), ""),
        agent_connections=_sum(m.agent.connections.collect(), "_total"),
        terminal_events=_by_label(m.agent.events.collect(), "", "kind"),
        http_requests=_sum(requests, "_count"),
        http_requests_by_status=_by_label(requests, "_count", "status"),
        http_request_seconds_mean=_mean(requests),
        http_request_seconds_p50=_percentile(requests, 50),
        http_request_seconds_p95=_percentile(requests, 95),
        http_request_seconds_p99=_percentile(requests, 99),
        sign_ins=_by_label(m.http.sign_ins.collect(), "_total", "outcome"),
        orders=_by_label(m.orders.outcomes.collect(), "_total", "outcome"),
        orders_refused={problem: count for problem, count in refused.items() if count},
        orders_waiting=_sum(m.orders.waiting.collect(), ""),
        orders_unknown=_sum(m.orders.unknown.collect(), ""),
        journal_write_seconds_mean=_mean(m.orders.journal_writes.collect()),
        websocket_clients=_sum(m.streams.sockets.collect(), ""),
        websocket_messages=_by_label(m.streams.messages.collect(), "_total", "type"),
        websocket_conflated=_sum(m.streams.conflated.collect(), "_total"),
        websocket_conflated_bytes=_sum(m.streams.conflated_bytes.collect(), "_total"),
        websocket_flush_seconds_mean=_mean(m.streams.flushes.collect()),
        websocket_closed=_by_label(m.streams.closed.collect(), "_total", "code"),
    )


def _kept(context: Context, channel: Channel) -> Kept:
    seen_ms = context.feed.changed_ms.get(channel)
    return Kept(
        version=context.board.version(channel),
        items=len(context.board.items(channel)),
        # Seen before the clock was set back: it is not younger than nothing.
        age_s=None if seen_ms is None else round(max(0, now_ms() - seen_ms) / 1000, 3),
    )


def _mean(families: Iterable[Metric]) -> float | None:
    known = list(families)
    return _share(_sum(known, "_sum"), _sum(known, "_count"))


def _means(families: Iterable[Metric], label: str) -> dict[str, float]:
    known = list(families)
    sums = _by_label(known, "_sum", label)
    return {k: sums[k] / count for k, count in _by_label(known, "_count", label).items() if count}


def _percentile(families: Iterable[Metric], percent: int) -> float | None:
    """Return the bound below which so many percent are; None above the last one, or for none."""
    within = _by_label(families, "_bucket", "le")
    total = within.get("+Inf", 0)
    bounds = sorted(float(bound) for bound in within if within[bound] >= total * percent / 100)
    return bounds[0] if total and math.isfinite(bounds[0]) else None


def _by_label(families: Iterable[Metric], suffix: str, label: str) -> dict[str, float]:
    totals: defaultdict[str, float] = defaultdict(float)
    for family in families:
        for sample in family.samples:
            if sample.name == family.name + suffix:
                totals[sample.labels[label]] += sample.value
    return dict(totals)


def _sum(families: Iterable[Metric], suffix: str) -> float:
    return sum(s.value for f in families for s in f.samples if s.name == f.name + suffix)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
