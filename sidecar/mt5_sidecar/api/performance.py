# SPDX-License-Identifier: Apache-2.0
"""The counters as JSON, for who has no Prometheus."""

from collections import defaultdict
from collections.abc import Iterable

from aiohttp import web
from prometheus_client.metrics_core import Metric

from mt5_sidecar.api.answers import Performance
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.status import JSON
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.metrics import Metrics


async def performance(request: web.Request) -> web.Response:
    """Answer with the counters."""
    body = encode(performance_answer(request.app[CONTEXT].metrics))
    return web.Response(body=body, content_type=JSON)


def performance_answer(metrics: Metrics) -> Performance:
    """Return the counters since the start."""
    reads = _by_label(metrics.snapshot_reads.collect(), "_total", "body")
    calls, requests = list(metrics.agent_calls.collect()), list(metrics.requests.collect())
    return Performance(
        cache_hit_rate=_share(reads["kept"], sum(reads.values())),
        snapshot_reads=reads,
        agent_calls=_by_label(calls, "_count", "call"),
        agent_call_seconds_mean=_share(_sum(calls, "_sum"), _sum(calls, "_count")),
        http_requests=_sum(requests, "_count"),
        http_request_seconds_mean=_share(_sum(requests, "_sum"), _sum(requests, "_count")),
        websocket_clients=_sum(metrics.sockets.collect(), ""),
        websocket_messages=_by_label(metrics.ws_messages.collect(), "_total", "type"),
        websocket_conflated=_sum(metrics.ws_conflated.collect(), "_total"),
    )


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
