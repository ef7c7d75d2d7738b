# SPDX-License-Identifier: Apache-2.0
"""What only a measurement shows is held by `make bench-quick`, and that by `make test`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import __main__ as command
from bench import fanout, gate, latency, memory
from bench.findings import Finding
from bench.rounds import QUICK
from cluster.paths import REPOSITORY


def stage(cpu_us: float, delay_s: float) -> fanout.Stage:
    """Return a server that was measured in three rounds."""
    made = fanout.Stage(pid=0, audience=None, change=lambda: None)  # type: ignore[arg-type]
    made.cpu_us, made.rounds_s = [cpu_us] * 3, [delay_s] * 3
    made.delays_s = made.spread_s = [delay_s] * 3
    return made


@asynccontextmanager
async def nothing(*_: Any, **__: Any) -> AsyncIterator[Any]:
    yield SimpleNamespace(pid=1, url=lambda path: path)


async def at_once(*_: Any) -> None:
    return None


def test_a_broadcast_that_costs_more_against_one_send_for_each_fails() -> None:
    recorded = gate.recorded()
    wanted = recorded["P3 100 clients: less CPU a delivery"]
    as_it_was = fanout._findings(stage(25, 0.005), stage(25 * wanted, 0.02), 100)
    encoded_for_each = fanout._findings(stage(100, 0.015), stage(25 * wanted, 0.02), 100)

    assert gate.fallen(as_it_was, recorded) == []
    assert gate.fallen(encoded_for_each, recorded)[0].startswith("P3 100 clients: less CPU")


@pytest.mark.parametrize(
    ("idle_mb", "client_kb", "agent_mb", "fallen"),
    [
        (48, 19, 32, []),
        (55, 19, 32, ["P13 sidecar, idle"]),
        (63, 19, 32, ["P13 sidecar, idle", "P13 sidecar, idle, after the operator's look"]),
        (48, 23, 32, ["P13 per idle WebSocket client"]),
        (48, 19, 51, ["P13 agent with worker and simulated terminal"]),
    ],
)
async def test_memory_is_held(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    idle_mb: int,
    client_kb: int,
    agent_mb: int,
    fallen: list[str],
) -> None:
    async def per_client(_: Any) -> float:
        return client_kb * 1e3

    for name, fake in {
        "sidecar": nothing,
        "agent": nothing,
        "until": at_once,
        "_compile": lambda: None,
        "_operator_looks": at_once,
        "_per_client": per_client,
        "SETTLE_S": 0,
        "rss_bytes": lambda _: idle_mb * 1_000_000,
        "pss_bytes": lambda _: agent_mb * 1_000_000,
        "descendants": lambda _: [],
    }.items():
        monkeypatch.setattr(memory, name, fake)

    found = await memory.measure(tmp_path, QUICK)

    assert [told.partition(":")[0] for told in gate.fallen(found, {})] == fallen


class Prices:
    """A stream whose prices are as old as the test says."""

    def __init__(self, age_s: float) -> None:
        self._age = timedelta(seconds=age_s)
        self._count = 0

    async def receive_str(self) -> str:
        await asyncio.sleep(0.002)  # two of them are never of the same millisecond
        self._count += 1
        if self._count % 5 == 0:
            return json.dumps({"type": "heartbeat"})
        when = (datetime.now(UTC) - self._age).isoformat()
        changed = [{"time": None}, {"time": when}, {"time": when}]
        return json.dumps({"type": "tick_data", "data": {"changed": changed}})


@pytest.mark.parametrize(("age_s", "fallen"), [(0.1, False), (0.6, True)])
async def test_the_age_of_a_price_at_a_client_is_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, age_s: float, *, fallen: bool
) -> None:
    @asynccontextmanager
    async def socket(*_: Any) -> AsyncIterator[Prices]:
        yield Prices(age_s)

    session = SimpleNamespace(ws_connect=socket)

    @asynccontextmanager
    async def sessions(**_: Any) -> AsyncIterator[Any]:
        yield session

    for name, fake in {"sidecar": nothing, "agent": nothing, "until": at_once}.items():
        monkeypatch.setattr(latency, name, fake)
    monkeypatch.setattr(latency.aiohttp, "ClientSession", sessions)

    found = await latency.measure(tmp_path, QUICK)

    assert found[0].value == pytest.approx(age_s * 1000, abs=50)
    assert bool(gate.fallen(found, {})) is fallen


def test_all_of_it_is_measured_by_bench_quick_and_that_by_make_test() -> None:
    assert {"memory", "latency", "fanout", "reads", "routing"} == set(command.GATED)
    text = (REPOSITORY / "Makefile").read_text()
    recipe = re.search(r"^test: .*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert recipe is not None
    assert "bench-quick" in recipe[1]


def test_nothing_is_recorded_that_is_not_measured_any_more() -> None:
    told = {key.partition(" ")[0] for key in gate.recorded()}

    assert told == {"P1", "P2", "P3", "P8"}
    assert not Finding(target_id="P1", what="x", value=1).broken
