# SPDX-License-Identifier: Apache-2.0
"""P11: from `kubectl apply` to Ready, the image being there."""

from typing import Final

from bench.findings import Finding
from bench.installed import Fleet
from bench.percentiles import percentile
from demo.installation import Installation

ONES: Final = 12
AT_ONCE: Final = 20


def measure(installation: Installation) -> list[Finding]:
    """Return how long one account takes, twelve times, and how long twenty at once."""
    fleet = Fleet(installation)
    took_s = []
    for _ in range(ONES):
        took_s.append(fleet.start(1))
        fleet.end()
    all_s = fleet.start(AT_ONCE)
    fleet.end()
    beside = f"{ONES} times; median {percentile(took_s, 50):.1f} s, worst {max(took_s):.1f} s"
    return [
        _finding("apply to Ready, one account, p95", percentile(took_s, 95), 10, beside),
        _finding(f"apply to Ready, {AT_ONCE} accounts at once", all_s, 60, "until the last"),
    ]


def _finding(what: str, value_s: float, target_s: float, beside: str) -> Finding:
    return Finding(
        target_id="P11",
        what=what,
        value=value_s,
        unit="s",
        sense="<=",
        target=target_s,
        beside=beside,
    )
