# SPDX-License-Identifier: Apache-2.0
"""P11: from `kubectl apply` to Ready, the image being there; and where that time goes."""

import time
from typing import Final

from bench import phases
from bench.findings import Finding
from bench.installed import Fleet
from bench.percentiles import percentile
from demo.installation import Installation

ONES: Final = 12
AT_ONCE: Final = 20


def measure(installation: Installation) -> list[Finding]:
    """Return how long one account takes, twelve times, by phases, and how long twenty at once."""
    fleet = Fleet(installation)
    took_s, starts = [], []
    for _ in range(ONES):
        began_s = time.time()
        took_s.append(fleet.start(1))
        ready_s = time.time()
        (account_id,) = fleet.ids
        starts.append((began_s, phases.seen(installation, fleet.kubectl, account_id, ready_s)))
        fleet.end()
    all_s = fleet.start(AT_ONCE)
    own_s = fleet.cpu_s("sidecar") + fleet.cpu_s("terminal")
    fleet.end()
    beside = f"{ONES} times; median {percentile(took_s, 50):.1f} s, worst {max(took_s):.1f} s"
    own = f"until the last; their containers spent {own_s / AT_ONCE:.2f} s of a core each"
    return [
        _finding("apply to Ready, one account, p95", percentile(took_s, 95), 10, beside),
        _finding(f"apply to Ready, {AT_ONCE} accounts at once", all_s, 60, own),
        *phases.findings(starts),
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
