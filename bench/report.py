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
- **P9** begins with the write of a route to Redis and ends when the last of three routers answers
  from the new pod; what the operator adds before is in its own page. Then Redis is away for a
  minute.
- **P5** is a call through sidecar and agent with a package that answers at once. Its reference is
  RPyC as mt5linux uses it; both ends read all 19 fields of 20 positions. *Natively*, the agent runs
  in the Python of this checkout; *in the image*, in the Wine image's Python 3.13, as it is shipped;
  *under Wine*, the same with the package's side of both in that image's Windows Python. Idle cores
  are kept from halting meanwhile; what a call takes where they halt stands beside.
- **P13 of the agent** counts pages that its three processes share once, as the pod's limit does.
- **P3's reference** is one `await ws.send_json(...)` for each client on our own stack, aiohttp and
  uvloop, without compression. *aiohttp's defaults* are the same on asyncio's loop, compressed for
  each client as browsers offer it. *A loop of bare sends* (`bench/bare_server.py`) is the floor:
  bytes that are ready, one `send` a client, no event loop and no thought of who is slow. Who
  listens does not sleep while a message is on its way: clients are on other machines, and it would
  be the server here that is billed for waking them.
- **P7's clock** runs from the agent's telling, its records being read already, to the last client.
  It has no reference, so its rounds are its own; what it takes in turns with those that P3 compares
  stands beside.

`make bench-quick`, a part of `make test`, measures P1, P2 and P8 by bursts instead of seconds of
wrk: each ends when the server has spent 80 ms of CPU, however long a neighbour makes that, and what
is compared runs right after it, 15 times; and P3 by CPU time with 100 clients. *Found*, or if that
is higher the least disturbed bursts, is held against `bench/recorded.json`, the lowest of several
runs on a busy machine. It fails when a ratio is more than 15 % lower, twice in a row. So it does
when a figure breaks its limit that no neighbour moves far: the sidecar's memory (54 MB), that of
an idle client (22 kB) and of the agent (50 MB), and the age of a price at a client (500 ms). It
takes two minutes, and four where others want the cores.

## What each optimisation bought

CPU of one `GET /api/account`, each step alone against the one before, as far as a shared machine
lets it be seen; `docs/adr/026-answers-in-one-piece.md` has the why.

| step | before | after |
|---|---|---|
| the answer is bytes (`reads.ready`); metrics' children bound; no query parsed | 71 us | 66 us |
| a proof is checked once a second; handlers wrapped by hand, not by middlewares | 66 us | 50 us |
| (aiohttp alone: a bare handler that answers `web.Response`, then bytes) | 38 us | 24 us |
| PyJWT (9 MB) is loaded with the first key or token that needs it | 69 MB | 64 MB |
| measured with the image's packages (structlog loads rich where there is one) | 65.2 MB | 61.5 MB |
| aiohttp is imported without the CA certificates that it reads for clients | 61.5 MB | 59.5 MB |
| OpenAPI and AsyncAPI are made for the first who asks | 59.4 MB | 59.0 MB |
| a process of its own reads the settings: no pydantic here, nor its imports | 59.0 MB | 47.6 MB |
| one change of 20 positions: decimals and times that stay are kept | 370 us | 130 us |
| rendering them: the text of what stays is kept | 74 us | 28 us |
| one call: the agent reads 64 KiB at a time, not 256, by a socket, not TCP | 184 us | 117 us |

The first figure is of a quiet machine, the next two of one with a load average of 5 to 7. The last
row is the agent's CPU; docs/adr/090 has every hop of a call, and of a change.

P13: what did not help: MALLOC_ARENA_MAX, the trim and mmap thresholds of malloc, malloc instead of
Python's arenas, one libuv thread instead of four (each below 0.1 MB: the memory is full, not
scattered), code without column tables (0.3 MB). Without docstrings it would be 2.3 MB less, and
OpenAPI would lose its texts. The first look of the operator, whose token is EdDSA, loads PyJWT and
cryptography: 11 MB more from then on, which is what a pod has.

P3: what the kernel takes to send 7.5 kB by TCP over loopback is the row of bare sends, measured in
turns with the rest; the reference divided by it is the most that any server reaches on this
machine, and no 15. The size is not what it costs: 100 bytes take as long, so compressing the one
frame that all get would spare nothing here. The row after it says how far above that floor we are:
by `perf`, of a delivery to 500 59 % are the write, 6 % uvloop around it, and the rest is Python,
most of it five calls of ours for each client. Calling `write` in a loop of nothing else, with no
look at who is slow or gone, spared 5 to 9 % of a delivery, and sorting the looks before the sends
1 to 2: not taken. uvloop writes at once, not at the end of the turn, and one frame of the same
bytes goes to all, unmasked and without a copy. Of 500 clients 128 are told in a turn of the loop,
which holds it for 2 ms of the 5 that the target allows; then others have theirs.

P5: a call wakes four processes, two of them on another core. A virtual core with nothing to do is
handed back to the hypervisor, which takes some 40 us to let it run again: on this machine, when
quiet, 65 of 220 us, and on a worse day 170 of 350. That is why a busy machine had the better
figures. Nodes whose cores do not halt (`idle=poll`, bare metal without deep sleep, or simply other
work) do not pay it; docs/adr/097 has how it was found. Natively, in the Python of a checkout, a
call is slower than in the image, which has Debian's Python 3.13, built with profile-guided
optimisation; a checkout has whatever `python3` is, here one that pyenv built without. Wine costs
the 20 to 30 us between its row and *in the image*.

P7: most of it is the 100 sends, each of which costs a bare loop as much; before them, some 40 us
are the waking of the sidecar where its core halts, and 0.3 ms the decoding and rendering of 20
positions, three times what that takes when the processor's caches hold it.

## Found

P11 and P12 need a cluster: [benchmarks-cluster.md](benchmarks-cluster.md). R9 needs time:
`make soak MINUTES=30`.

"""
HEAD: Final = (
    "| # | what | found | target | met | by throughput | beside |\n|---|---|---|---|---|---|---|\n"
)


def table(findings: Sequence[Finding]) -> str:
    """Return the rows as Markdown."""
    return HEAD + "".join(_row(finding) for finding in findings)


def page(findings: Sequence[Finding], *, date: str, rounds: int) -> str:
    """Return docs/benchmarks.md."""
    told = f"{machine()}, at a load average of {os.getloadavg()[1]:.0f}"
    begins = PAGE_BEGINS.format(date=date, rounds=rounds, machine=told, fastapi=_fastapi())
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
