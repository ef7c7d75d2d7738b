# SPDX-License-Identifier: Apache-2.0
"""docs/metrics.md lists every metric of ours, as Prometheus is told of it, and no other."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from cluster.paths import REPOSITORY
from mt5_operator import metrics as operator_metrics
from mt5_sidecar.metrics import Metrics

PAGE = REPOSITORY / "docs" / "metrics.md"
# The poll's name is one that the requirements ask for.
OURS = re.compile(r"mt5_(operator|sidecar|poll)_")
ROUTERS_PAGE = REPOSITORY / "docs" / "router.md"
NAMED = re.compile(r"\bmt5_(?:operator|sidecar|router)_\w+\b(?![./])")
ROW = re.compile(r"^\| `(mt5_\w+)` \| (\w+) \| (.+) \|$", re.MULTILINE)


def told(registry: CollectorRegistry) -> set[tuple[str, str, str]]:
    """Return name, type and meaning of each of our metrics."""
    found = (metric for metric in registry.collect() if OURS.match(metric.name))
    return {
        (f"{one.name}_total" if one.type == "counter" else one.name, one.type, one.documentation)
        for one in found
    }


def test_every_metric_is_documented_and_no_other() -> None:
    ours = told(operator_metrics.REGISTRY) | told(Metrics().registry)

    assert set(ROW.findall(PAGE.read_text())) == ours


def test_pages_name_no_other_metrics() -> None:
    known = set(NAMED.findall(PAGE.read_text() + ROUTERS_PAGE.read_text()))
    suffixes = ("_count", "_sum", "_bucket")

    for page in (REPOSITORY / "docs").glob("*.md"):
        named = NAMED.findall(page.read_text())
        strangers = {one for one in named if one not in known and not one.endswith(suffixes)}
        assert strangers == set(), page
