# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.soak --minutes 30`: R9, a storm of ticks for long, and nothing that grows.

A sidecar and a real agent with the simulator, looked at 50 times a second; listeners that stay,
listeners that come and go, and reads at a fixed rate. Ends with 1 if something leaks.
"""

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
import uvloop

from bench import cores, report
from bench.findings import Finding
from bench.listeners import Audience
from bench.memory import agent
from bench.processes import anonymous_bytes, cpu_s, descendants, descriptors
from bench.sidecar import AUTHORIZED, Sidecar, answers, sidecar, until
from bench.trends import Course, drift_percent
from cluster.paths import REPOSITORY

STAYING: Final = 50
PASSING: Final = 10
READS_PER_S: Final = 20
SAMPLE_S: Final = 1.0
WARM_S: Final = 10.0
QUIET_S: Final = 15.0
"""Longer than the sidecar waits for a client's goodbye (`ws_close_grace_s`)."""
STORM: Final = {"TICK_INTERVAL_S": 0.02, "POLL_INTERVAL_S": 0.1}
PATHS: Final = ("account", "positions", "orders", "ticks", "status", "symbols", "history?days=1")
MAX_GROWTH_PERCENT: Final = 3.0
MAX_DEARER_PERCENT: Final = 10.0
MAX_DRIFT_PERCENT: Final = 10.0
PAGE_BEGINS: Final = """# Soak

Written by `make soak`; do not edit. {minutes:g} minutes on {date}, {machine}.

A sidecar and a real agent with the simulator, which looks at ticks 50 times a second; {staying}
listeners that want every change, {passing} that come and go each second, {reads} reads a second
over all kinds of paths. The first quarter is for warming up. Memory is what a process holds itself
(RssAnon: pages of files, which the kernel drops when others need room, could hide a small leak), by
its trend (least squares); open files when it is quiet, before and after; cost by CPU time for the
same load. All but the latency, which neighbours on the machine move, ends `make soak` with an
error.

"""


def main() -> int:
    """Return 0, or 1 if something leaks."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks-soak.md")
    words = parser.parse_args()
    os.sched_setaffinity(0, {cores.LOAD})
    with (
        tempfile.TemporaryDirectory(prefix="mt5-soak-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(soaked(Path(folder), seconds=words.minutes * 60))
    print(report.table(found), flush=True)
    if words.keep:
        _keep(found, minutes=words.minutes)
    return 0 if all(finding.met for finding in found if "latency" not in finding.what) else 1


async def soaked(folder: Path, *, seconds: float) -> list[Finding]:
    """Return what was found after so many seconds."""
    async with (
        sidecar(folder / "sidecar") as running,
        agent(folder, running, settings=STORM) as agent_pid,
    ):
        await until(lambda: answers(running.url("/api/positions"), **AUTHORIZED))
        courses = _courses(running.pid, agent_pid)
        staying = Audience(running.port, "/ws?interval_ms=0", AUTHORIZED)
        await staying.join(STAYING)
        latencies_s: list[float] = []
        # What is opened once and kept is opened now.
        await _loaded(running, {}, WARM_S, [])
        before = await _least_files(courses)
        await _loaded(running, courses, seconds, latencies_s)
        after = await _least_files(courses)
        lost = staying.lost
        staying.leave()
    for pid, course in courses.items():
        course.files_before, course.files_after = before[pid], after[pid]
    return judged(list(courses.values()), latencies_s, lost=lost)


async def _loaded(
    running: Sidecar, courses: dict[int, Course], seconds: float, latencies_s: list[float]
) -> None:
    load = [
        asyncio.create_task(_read(running, latencies_s)),
        asyncio.create_task(_pass_by(running)),
    ]
    try:
        await _watch(courses, seconds, load)
    finally:
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)


async def _least_files(courses: Mapping[int, Course]) -> dict[int, int]:
    """Return the least that each process has open while the last clients are let go."""
    least = {pid: descriptors(pid) for pid in courses}
    end_s = time.monotonic() + QUIET_S
    while time.monotonic() < end_s:
        await asyncio.sleep(SAMPLE_S)
        least = {pid: min(count, descriptors(pid)) for pid, count in least.items()}
    return least


def judged(courses: Sequence[Course], latencies_s: Sequence[float], *, lost: int) -> list[Finding]:
    """Return what it amounts to."""
    found = [finding for course in courses for finding in _of(course)]
    drift = drift_percent(latencies_s, 99)
    count = f"{len(latencies_s):,} reads"
    found.append(_finding("reads: latency, p99, drift", drift, "%", MAX_DRIFT_PERCENT, count))
    found.append(_finding("listeners lost", lost, "", 0))
    return found


def _of(course: Course) -> list[Finding]:
    slope = f"{course.memory_slope_bytes_per_min() / 1e3:.1f} kB a minute"
    size = f"{slope}, {course.memory_bytes[-1] / 1e6:.1f} MB at the end"
    name, growth = course.name, course.memory_growth_percent()
    found = [
        _finding(f"{name}: memory, growth", growth, "%", MAX_GROWTH_PERCENT, size),
        _finding(f"{name}: more open files", course.files_after - course.files_before, "", 0),
    ]
    if name == "sidecar":
        dearer = course.dearer_percent()
        found.append(_finding(f"{name}: cost, drift", dearer, "%", MAX_DEARER_PERCENT))
    return found


def _finding(what: str, value: float, unit: str, target: float, beside: str = "") -> Finding:
    return Finding(
        target_id="R9",
        what=what,
        value=value,
        unit=unit,
        sense="<=",
        target=target,
        beside=beside,
    )


def _courses(sidecar_pid: int, agent_pid: int) -> dict[int, Course]:
    found = {sidecar_pid: Course("sidecar"), agent_pid: Course("agent")}
    for pid in descendants(agent_pid):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        module = next((word for word in words if word.startswith("mt5_")), "")
        found[pid] = Course(module.rpartition(".")[2] or str(pid))
    return found


async def _watch(
    courses: dict[int, Course], seconds: float, load: Sequence[asyncio.Task[None]]
) -> None:
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < seconds:
        for pid, course in courses.items():
            course.note(at_s, memory_bytes=anonymous_bytes(pid), cpu_s=cpu_s([pid]))
        done, _ = await asyncio.wait(load, timeout=SAMPLE_S, return_when="FIRST_EXCEPTION")
        for task in done:
            task.result()


async def _read(running: Sidecar, latencies_s: list[float]) -> None:
    async with aiohttp.ClientSession(headers=AUTHORIZED) as session:
        began_s = time.perf_counter()
        for number, path in enumerate(itertools.cycle(PATHS)):
            await asyncio.sleep(began_s + number / READS_PER_S - time.perf_counter())
            due_s = time.perf_counter()
            async with session.get(running.url(f"/api/{path}")) as answer:
                await answer.read()
                answer.raise_for_status()
            latencies_s.append(time.perf_counter() - due_s)


async def _pass_by(running: Sidecar) -> None:
    while True:
        passing = Audience(running.port, "/ws?interval_ms=0", AUTHORIZED)
        try:
            await passing.join(PASSING)
        finally:
            passing.leave()
        await asyncio.sleep(1)


def _keep(findings: Sequence[Finding], *, minutes: float) -> None:
    date = datetime.now(UTC).date().isoformat()
    begins = PAGE_BEGINS.format(
        minutes=minutes,
        date=date,
        machine=report.machine(),
        staying=STAYING,
        passing=PASSING,
        reads=READS_PER_S,
    )
    (REPOSITORY / "docs/benchmarks-soak.md").write_text(begins + report.table(findings))


if __name__ == "__main__":
    raise SystemExit(main())
