# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: all benchmarks; `--quick`: what CI holds against the recorded ratios."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop

from bench import (
    calls,
    cores,
    fanout,
    gate,
    latency,
    memory,
    orders,
    reads,
    report,
    routing,
    visible,
)
from bench.findings import Finding
from bench.rounds import FULL, QUICK, Effort
from cluster.paths import REPOSITORY

Benchmark = Callable[[Path, Effort], Awaitable[list[Finding]]]

ALL: Final[Mapping[str, Benchmark]] = {
    "reads": reads.measure,
    "fanout": fanout.measure,
    "routing": routing.measure,
    "visible": visible.measure,
    "calls": calls.measure,
    "memory": memory.measure,
    "latency": latency.measure,
    "orders": orders.measure,
}
GATED: Final = ("memory", "latency", "fanout", "reads", "routing")


def main() -> int:
    """Return 0, or 1 if a ratio has fallen."""
    words = _arguments()
    if len(os.sched_getaffinity(0)) < 2:
        print("benchmarks need two cores: one for the server, one for the load", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {cores.LOAD})
    names = words.only or (GATED if words.quick else tuple(ALL))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if not words.quick:
            _keep(runner.run(measured(names, FULL)), complete=not words.only)
            return 0
        return runner.run(quick(names, record=words.record))


async def measured(names: Sequence[str], effort: Effort) -> list[Finding]:
    """Return what these benchmarks found, and print it as it comes."""
    found: list[Finding] = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="mt5-bench-") as folder:
            new = await ALL[name](Path(folder), effort)
        print(report.table(new), flush=True)
        found += new
    return sorted(found, key=lambda finding: int(finding.target_id[1:]))


async def quick(names: Sequence[str], *, record: bool) -> int:
    """Return 1 if a ratio has fallen in two measurements, else 0; or record what is found."""
    ratios = gate.recorded()
    complaints = []
    for name in names:
        found = await measured([name], QUICK)
        if record:
            ratios = dict(ratios) | gate.lowered(found, ratios)
            gate.FILE.write_text(json.dumps(ratios, indent=1, sort_keys=True) + "\n")
        elif complained := gate.fallen(found, ratios):
            complaints += await _again(name, complained)
    for complaint in complaints:
        print(f"fallen: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


async def _again(name: str, complained: Sequence[str]) -> list[str]:
    """Return what is still too low when measured a second time."""
    print("\n".join((*complained, "measured once more:")), file=sys.stderr, flush=True)
    first = {complaint.partition(":")[0] for complaint in complained}
    second = gate.fallen(await measured([name], QUICK), gate.recorded())
    return [complaint for complaint in second if complaint.partition(":")[0] in first]


def _keep(findings: Sequence[Finding], *, complete: bool) -> None:
    date = datetime.now(UTC).date().isoformat()
    if not complete:
        return
    results = REPOSITORY / "bench/results"
    results.mkdir(exist_ok=True)
    file = results / f"{date}.json"
    file.write_text(report.as_json(findings, date=date, rounds=FULL.rounds))
    text = report.page(findings, date=date, rounds=FULL.rounds)
    (REPOSITORY / "docs/benchmarks.md").write_text(text)
    print(f"written: {file} and docs/benchmarks.md", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short, held against the recorded")
    parser.add_argument("--record", action="store_true", help="with --quick: lower the recorded")
    parser.add_argument("--only", nargs="+", choices=tuple(ALL), help="some of them; keeps nothing")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
