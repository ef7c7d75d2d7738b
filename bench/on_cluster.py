# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.on_cluster`: P11 and P12 on a real node, through operator and router."""

import argparse
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from bench import report, serving, starting
from bench.findings import Finding
from bench.installed import installed
from cluster.paths import REPOSITORY
from demo.installation import Installation

ALL: Final[Mapping[str, Callable[[Installation], list[Finding]]]] = {
    "starting": starting.measure,
    "serving": serving.measure,
}

PAGE_BEGINS: Final = """# Benchmarks on a cluster

Written by `make bench-cluster`; do not edit. Measured {date} on {machine}, where
{load:.0f} processes wanted a core: etcd, API server, kubelet, containerd, operator, router, Redis,
every account's pod and the load itself were on these cores too. Absolute figures, so they are told
and never asserted; a target that is missed is in the table.

- **P11**: one `kubectl apply` of Secret and account, until `kubectl wait` sees Ready. The images
  are on the node; simulator. Its phases by the clocks of those who did them: the scheduler's
  Event, the beginning of a container's first process, the sidecar's log. Each row is the median of
  its phase, so they need not add up.
- **P12**: 1,000 users on 5 accounts through the router's node port, with ten API keys and the
  default limits. 500 hold a stream each (100 a pod); 500 ask once a second for account, positions,
  orders, ticks, status. Open loop: a request is late from the moment at which it was due. Of three
  rounds the least disturbed: neighbours only ever add time. What sidecars
  and routers spent of a core says what the load costs, whoever else is there; a load that took a
  whole core itself would measure itself.

"""


def main() -> int:
    """Measure, print, and keep what was found if it is all there is."""
    parser = argparse.ArgumentParser(prog="python -m bench.on_cluster", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(ALL), help="some; keeps nothing")
    words = parser.parse_args()
    # The load must not be late by itself: where others use the machine too, it goes first.
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    found: list[Finding] = []
    with installed() as installation:
        for name in words.only or ALL:
            new = ALL[name](installation)
            print(report.table(new), flush=True)
            found += new
    if not words.only:
        _keep(found)
    return 0


def _keep(findings: Sequence[Finding]) -> None:
    date = datetime.now(UTC).date().isoformat()
    results = REPOSITORY / "bench/results" / f"{date}-cluster.json"
    results.write_text(report.as_json(findings, date=date, rounds=1))
    begins = PAGE_BEGINS.format(date=date, machine=report.machine(), load=os.getloadavg()[1])
    (REPOSITORY / "docs/benchmarks-cluster.md").write_text(begins + report.table(findings))


if __name__ == "__main__":
    raise SystemExit(main())
