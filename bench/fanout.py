# SPDX-License-Identifier: Apache-2.0
"""P3: one change to many WebSocket clients, against one `send_json` for each; P7: to the last of
them; P4: the same while one of them reads nothing.

All are told of a change at a fixed rate, in turns; the clock runs from telling them until each
client has the whole message. P7 compares nothing: it has rounds of its own, in which the others'
megabytes do not pass through the caches between two changes. Ours decodes the agent's message and
renders 20 positions first. The third, `bench.bare_server`, only sends: what it takes is the
kernel's, and nobody takes less (docs/adr/097: half of it is the clients', on loopback).
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import aiohttp

from bench.cores import SERVER
from bench.findings import Finding
from bench.listeners import LARGE_BYTES, Audience
from bench.percentiles import percentile
from bench.processes import Started, cpu_s
from bench.rounds import Effort
from bench.sidecar import AUTHORIZED, connected, serving, sidecar
from cluster.ports import free_port

INTERVAL_S = 0.2
FEW = 100
DEFLATED_BYTES = 64  # the same snapshot again and again is next to nothing


@dataclass
class Stage:
    """A server, its audience, and how it is told of a change: what that returns does it."""

    pid: int
    audience: Audience
    change: Callable[[], Callable[[], object]]
    delays_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    spread_s: list[float] = field(default_factory=list)
    """From the first client's message to the last one's."""
    rounds_s: list[float] = field(default_factory=list)
    """The middle delay of each round."""
    rounds_p99_s: list[float] = field(default_factory=list)
    last_s: list[float] = field(default_factory=list)
    """From the change to the last client's message."""


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return what P3 asks for, for each size of audience."""
    findings = []
    for count in effort.listeners:
        place = folder / str(count)
        place.mkdir()
        findings += await _measure(place, effort, count)
    return findings


async def _measure(folder: Path, effort: Effort, count: int) -> list[Finding]:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(_ours(folder))
        naive = await stack.enter_async_context(_told(folder, "naive_server"))
        if effort.burst_cpu_s:
            await _alternate([ours, naive], effort, count)
            return _findings(ours, naive, count)
        bare = await stack.enter_async_context(_told(folder, "bare_server"))
        default = await stack.enter_async_context(_as_it_comes(folder))
        await _alternate([ours, naive, bare, default], effort, count)
        findings = [*_findings(ours, naive, count), *_floor(ours, naive, bare, count)]
        findings.append(_by_default(ours, default, count))
        if count <= FEW:
            alone = await _by_itself(ours, effort)
            bare_alone = await _by_itself(bare, effort)
            findings += _last(alone, bare_alone, in_turns=ours)
            findings.append(await _beside_one_that_stalls(ours, effort, count))
        return findings


async def _alternate(stages: Sequence[Stage], effort: Effort, count: int) -> None:
    for stage in stages:
        await stage.audience.join(count)
    for number in range(effort.rounds + 1):
        for stage in stages:
            await _round(stage, effort.ticks, counts=number > 0)


async def _round(stage: Stage, ticks: int, *, counts: bool) -> None:
    before_s = cpu_s([stage.pid])
    heard = [await _tick(stage) for _ in range(ticks)]
    spent_s = cpu_s([stage.pid]) - before_s
    if counts:
        delays_s = [delay_s for tick in heard for delay_s in tick]
        stage.delays_s += delays_s
        stage.rounds_s.append(median(delays_s))
        stage.rounds_p99_s.append(percentile(delays_s, 99))
        stage.last_s += [max(tick) for tick in heard]
        stage.spread_s += [max(tick) - min(tick) for tick in heard]
        stage.cpu_us.append(spent_s / len(delays_s) * 1e6)


async def _tick(stage: Stage) -> list[float]:
    stage.audience.forget()
    tell = stage.change()  # the terminal's work, not that of who passes it on
    began_s = time.perf_counter()
    tell()
    heard_s = await stage.audience.all_heard()
    await asyncio.sleep(max(0.0, began_s + INTERVAL_S - time.perf_counter()))
    return [moment - began_s for moment in heard_s]


@asynccontextmanager
async def _ours(folder: Path) -> AsyncIterator[Stage]:
    settings = {"ws_max_sockets": 1000, "ws_interval_ms": 0}
    async with (
        sidecar(folder / "sidecar", settings=settings) as running,
        connected(running) as agent,
    ):
        audience = Audience(running.port, "/ws?channels=positions", AUTHORIZED)
        steps = iter(range(1, 1_000_000))
        try:
            yield Stage(
                pid=running.pid,
                audience=audience,
                change=lambda: agent.moved_positions(next(steps)),
            )
        finally:
            audience.leave()


def _as_it_comes(folder: Path) -> AbstractAsyncContextManager[Stage]:
    """Run the naive one with aiohttp's defaults, for clients that offer what browsers do."""
    folder = folder / "as-it-comes"
    folder.mkdir()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    return _told(folder, "naive_server", "as-it-comes", offer=offer, large_bytes=DEFLATED_BYTES)


@asynccontextmanager
async def _told(
    folder: Path,
    server: str,
    *words: str,
    offer: dict[str, str] | None = None,
    large_bytes: int = LARGE_BYTES,
) -> AsyncIterator[Stage]:
    """Run one that has the snapshot already, and sends it at a word on another port."""
    port, control_port = free_port(), free_port()
    given = folder / f"{server}.json"
    given.write_text(json.dumps(await _snapshot(folder / f"{server}-given")))
    argv = [sys.executable, "-m", f"bench.{server}", str(port), str(control_port), given, *words]
    process = Started(argv, folder / f"{server}.log", core=SERVER)
    health = f"http://127.0.0.1:{port}/api/health"
    audience = Audience(port, "/ws", offer or {}, large_bytes=large_bytes)
    try:
        await serving(process, health)
        _, control = await asyncio.open_connection("127.0.0.1", control_port)
        yield Stage(
            pid=process.pid,
            audience=audience,
            change=lambda: partial(control.write, b"now\n"),
        )
        control.close()
    finally:
        audience.leave()
        process.end()


async def _snapshot(folder: Path) -> object:
    # What ours sends, as a dict: the naive one serves the same.
    async with sidecar(folder) as running, connected(running):
        url = running.url("/api/positions")
        async with aiohttp.ClientSession(headers=AUTHORIZED) as session, session.get(url) as got:
            return {"type": "positions", "data": {"changed": (await got.json())["positions"]}}


async def _beside_one_that_stalls(ours: Stage, effort: Effort, count: int) -> Finding:
    """Return what P4 asks for: rounds with and without one that reads nothing, in turns, and of
    each the least disturbed round: at the 99th percentile, a neighbour is all that shows."""
    alone, beside = replaced(ours), replaced(ours)
    for _ in range(effort.rounds):
        await _round(alone, effort.ticks, counts=True)
        stalled = await ours.audience.stalled()
        await _round(beside, effort.ticks, counts=True)
        stalled.close()
    before_ms, after_ms = min(alone.rounds_p99_s) * 1e3, min(beside.rounds_p99_s) * 1e3
    return Finding(
        target_id="P4",
        what=f"{count} clients: p99 while one more reads nothing",
        value=(after_ms / before_ms - 1) * 100,
        unit="% more",
        sense="<=",
        target=25,
        beside=f"{after_ms:.1f} ms against {before_ms:.1f} ms",
    )


async def _by_itself(stage: Stage, effort: Effort) -> Stage:
    alone = replaced(stage)
    for number in range(effort.rounds + 1):
        await _round(alone, effort.ticks, counts=number > 0)
    return alone


def replaced(stage: Stage) -> Stage:
    """Return the same stage with nothing measured yet."""
    return Stage(pid=stage.pid, audience=stage.audience, change=stage.change)


def _floor(ours: Stage, naive: Stage, bare: Stage, count: int) -> list[Finding]:
    """Return what the kernel alone costs, and what is left to us above it."""
    floor_us = median(bare.cpu_us)
    best = median(a / b for a, b in zip(naive.cpu_us, bare.cpu_us, strict=True))
    above = median(a / b for a, b in zip(ours.cpu_us, bare.cpu_us, strict=True))
    return [
        Finding(
            target_id="P3",
            what=f"{count} clients: less CPU a delivery, of a loop of bare sends",
            value=best,
            beside=f"{floor_us:.1f} us a delivery: the kernel's, of loopback both ends'",
        ),
        Finding(
            target_id="P3",
            what=f"{count} clients: CPU a delivery against bare sends",
            value=above,
            sense="<=",
            beside=f"{median(ours.cpu_us):.1f} us against {floor_us:.1f} us",
        ),
    ]


def _by_default(ours: Stage, default: Stage, count: int) -> Finding:
    pairs = zip(default.cpu_us, ours.cpu_us, strict=True)
    return Finding(
        target_id="P3",
        what=f"{count} clients: less CPU a delivery, of aiohttp's defaults",
        value=median(theirs / own for theirs, own in pairs),
        beside=f"{median(ours.cpu_us):.1f} us against {median(default.cpu_us):.0f} us a delivery",
    )


def _last(ours: Stage, bare: Stage, *, in_turns: Stage) -> list[Finding]:
    """Return what P7 asks for."""
    return [
        Finding(
            target_id="P7",
            what=f"change at the agent to the last of {FEW} clients, p{percent}",
            value=_quantile_ms(ours.last_s, percent),
            unit="ms",
            sense="<=",
            target=target_ms,
            beside=f"a loop of bare sends {_quantile_ms(bare.last_s, percent):.1f} ms; "
            f"{_quantile_ms(in_turns.last_s, percent):.2f} ms in turns with P3's others",
        )
        for percent, target_ms in ((50, 2), (99, 10))
    ]


def _findings(ours: Stage, naive: Stage, count: int) -> list[Finding]:
    pairs = zip(naive.cpu_us, ours.cpu_us, strict=True)
    p50, p99 = _percentile_ms(ours, 50), _percentile_ms(ours, 99)
    theirs = (_percentile_ms(naive, 50), _percentile_ms(naive, 99))
    largest = count == 500

    def told(
        what: str, value: float, unit: str, target: float | None, beside: str, *, sense: str = "<="
    ) -> Finding:
        return Finding(
            target_id="P3",
            what=f"{count} clients: {what}",
            value=value,
            unit=unit,
            sense=">=" if sense == ">=" else "<=",
            target=target if largest else None,
            beside=beside,
        )

    cpu = f"{median(ours.cpu_us):.1f} us against {median(naive.cpu_us):.0f} us a delivery"
    spread_ms = median(ours.spread_s) * 1e3, median(naive.spread_s) * 1e3
    sooner = zip(naive.rounds_s, ours.rounds_s, strict=True)
    less_cpu = told(
        "less CPU a delivery", median(a / b for a, b in pairs), "x", 15, cpu, sense=">="
    )
    return [
        replace(
            less_cpu,
            throughput=median(a / b for a, b in sooner),
            best=min(naive.cpu_us) / min(ours.cpu_us),
        ),
        told("change to client, p50", p50, "ms", 12, f"naive {theirs[0]:.1f} ms"),
        told("change to client, p99", p99, "ms", 20, f"naive {theirs[1]:.1f} ms"),
        told("first client to last", spread_ms[0], "ms", None, f"naive {spread_ms[1]:.1f} ms"),
    ]


def _percentile_ms(stage: Stage, percent: int) -> float:
    return _quantile_ms(stage.delays_s, percent)


def _quantile_ms(times_s: Sequence[float], percent: int) -> float:
    return quantiles(times_s, n=100)[percent - 1] * 1e3
