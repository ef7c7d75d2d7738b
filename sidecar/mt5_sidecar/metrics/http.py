# SPDX-License-Identifier: Apache-2.0
"""Requests, and who was let in."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter

from mt5_sidecar.metrics.timing import durations


class HttpMetrics:
    """Of both HTTP ports: answers by route, and sign-ins by what became of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = durations(
            registry,
            "mt5_sidecar_http_request_seconds",
            "Time from the request's arrival to its answer",
            ("method", "route", "status"),
        )
        self.sign_ins = Counter(
            "mt5_sidecar_sign_ins",
            "Requests by what became of their key or token: accepted, or the problem",
            ("outcome",),
            registry=registry,
        )
        self.accepted = self.sign_ins.labels("accepted")
        # To find a child by its labels takes 5 us, and 30 where nobody did for a while.
        self._requests = cache(self.requests.labels)

    def answered(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Count one answer; `route` is the pattern, never the path."""
        self._requests(method, route, status).observe(seconds)
