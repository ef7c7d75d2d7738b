# SPDX-License-Identifier: Apache-2.0
"""How durations are kept: seconds, in buckets that tell a call from memory from one of a broker."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.15, 0.5, 2.0, 10.0)


def durations(
    registry: CollectorRegistry, name: str, what: str, labels: Sequence[str] = ()
) -> Histogram:
    """Return a histogram of seconds; `what` is its line in docs/metrics.md."""
    return Histogram(name, what, labels, buckets=BUCKETS_S, registry=registry)
