# SPDX-License-Identifier: Apache-2.0
"""Findings as a table for people and as JSON for later comparison."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.findings import Finding

PAGE_BEGINS: Final = """# Benchmarks

Written by `make bench`; do not edit. Measured {date} on {machine}. A target that is missed is in
the table.

Each speed is a ratio to a reference that was measured in the same minutes: in turns, median of
{rounds} rounds, the server alone on one core; load, upstream and Redis on another; only loopback.
*Found* compares the server's CPU time for a request, so it says how much more a core can do.
*By throughput* is the same as the client saw it: on a machine that others use as well, they take
the core away, and not from all alike. Figures beside give the order of magnitude.

- **FastAPI** is {fastapi} under uvicorn with uvloop and httptools, with the same check of an API
  key and the account ready in memory. *Default* returns a dict from a handler without a return
  annotation; *tuned* declares a response model and returns its instance.
- **The operator** (P10) has a page of its own: [benchmarks-operator.md](benchmarks-operator.md).
- **The router's references** are the same nginx with the same proxy settings and access log.
- **P5** is a call through sidecar and agent with a package that answers at once. Its reference is
  RPyC as mt5linux uses it; both ends read all 19 fields of 20 positions. Under Wine, the package's
  side of both runs in the Wine image's Windows Python.
- **P13 of the agent** counts pages that its three processes share once, as the pod's limit does.
- **P3's reference** is one `await ws.send_json(...)` for each client on our own stack, aiohttp and
  uvloop, without compression.

`make bench-quick` (below 3 minutes) measures P1, P2 and P8 briefly and holds *found*, or if that is
higher the least disturbed rounds, against `bench/recorded.json`: low medians of several quick runs
on a busy machine. It fails when a ratio is more than 15 % lower, twice in a row.

"""
HEAD: Final = (
    "| # | what | found | target | met | by throughput | beside |\n|---|---|---|---|---|---|---|\n"
)


def table(findings: Sequence[Finding]) -> str:
    """Return the rows as Markdown."""
    return HEAD + "".join(_row(finding) for finding in findings)


def page(findings: Sequence[Finding], *, date: str, rounds: int) -> str:
    """Return docs/benchmarks.md."""
    begins = PAGE_BEGINS.format(date=date, rounds=rounds, machine=machine(), fastapi=_fastapi())
    return begins + table(findings)


def as_json(findings: Sequence[Finding], *, date: str, rounds: int) -> str:
    """Return a results file."""
    rows = [asdict(finding) | {"met": finding.met} for finding in findings]
    found: dict[str, Any] = {"date": date, "machine": machine(), "rounds": rounds, "rows": rows}
    return json.dumps(found, indent=1) + "\n"


def machine() -> str:
    """Return what it ran on, as far as it matters."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores of {model}, CPython {platform.python_version()}"


def _row(finding: Finding) -> str:
    target = "" if finding.target is None else f"{finding.sense} {_amount(finding.target)}"
    met = {None: "", True: "yes", False: "**no**"}[finding.met]
    unit = "" if finding.unit == "x" else f" {finding.unit}"
    target += unit if target else ""
    seen = "" if finding.throughput is None else _amount(finding.throughput)
    cells = (finding.target_id, finding.what, _amount(finding.value) + unit, target, met)
    return f"| {' | '.join((*cells, seen, finding.beside))} |\n"


def _amount(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _fastapi() -> str:
    lock = Path(__file__).parents[1] / "locks/bench.txt"
    pins = [line for line in lock.read_text().splitlines() if line.startswith("fastapi==")]
    return pins[0].partition("==")[2].split()[0]
