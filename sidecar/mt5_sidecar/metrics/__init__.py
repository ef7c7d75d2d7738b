# SPDX-License-Identifier: Apache-2.0
"""What Prometheus is told: one module per subject. Label values come from closed sets only: routes,
calls, types, codes. Each part of the sidecar is given the metrics of its own subject."""

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mt5_sidecar.metrics.account import AccountMetrics
from mt5_sidecar.metrics.agent import AgentMetrics
from mt5_sidecar.metrics.commands import CommandMetrics
from mt5_sidecar.metrics.files import FileMetrics
from mt5_sidecar.metrics.http import HttpMetrics
from mt5_sidecar.metrics.orders import OrderMetrics
from mt5_sidecar.metrics.streams import StreamMetrics

# When each counter began: an eighth of all series, of thousands of sidecars, and asked by nobody.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here


class Metrics:
    """One registry for one sidecar, so that tests can make as many as they like."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self.http = HttpMetrics(registry)
        self.agent = AgentMetrics(registry)
        self.account = AccountMetrics(registry)
        self.files = FileMetrics(registry)
        self.streams = StreamMetrics(registry)
        self.commands = CommandMetrics(registry)
        self.orders = OrderMetrics(registry)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
