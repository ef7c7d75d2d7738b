# SPDX-License-Identifier: Apache-2.0
"""P1 and P2: reads of a snapshot, against FastAPI doing the same, and against having it already."""

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.cores import SERVER
from bench.findings import Finding, compared
from bench.load import Subject
from bench.open_sidecar import ASK
from bench.processes import Started
from bench.rounds import Effort, Samples, alternate, cpu_ratio, cpu_us
from bench.sidecar import AUTHORIZED, KEY, Sidecar, connected, serving, sidecar
from cluster.ports import free_port

PYTHON: Final = "MT5_BRIDGE_BENCH_PYTHON"
NAMES: Final = ("account", "positions")
ASKED: Final = {ASK: "yes"}


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return what P1 and P2 ask for."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(sidecar(folder / "sidecar"))
        await stack.enter_async_context(connected(ours))
        choosing = await stack.enter_async_context(
            sidecar(folder / "open", module="bench.open_sidecar")
        )
        await stack.enter_async_context(connected(choosing, **ASKED))
        theirs = await stack.enter_async_context(_fastapi(folder, await _bodies(ours)))
        subjects = [*await _ours(ours), *_open(choosing), *theirs]
        return _findings(await alternate(subjects, effort))


async def _ours(running: Sidecar) -> list[Subject]:
    subjects = []
    for name in NAMES:
        url = running.url(f"/api/{name}")
        etag = {"If-None-Match": await _etag(url)}
        subjects.append(Subject(name=name, url=url, pids=[running.pid], headers=AUTHORIZED))
        subjects.append(
            Subject(name=f"{name} 304", url=url, pids=[running.pid], headers=AUTHORIZED | etag)
        )
    return subjects


def _open(running: Sidecar) -> list[Subject]:
    return [
        Subject(
            name=name,
            url=running.url("/api/account"),
            pids=[running.pid],
            headers=AUTHORIZED | {ASK: word},
        )
        for name, word in (("account asked", "yes"), ("account open", "no"))
    ]


@asynccontextmanager
async def _fastapi(folder: Path, bodies: dict[str, Any]) -> AsyncIterator[list[Subject]]:
    port, given = free_port(), folder / "answers.json"
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    given.write_text(json.dumps({"answers": bodies, "digest": digest}))
    server = Path(__file__).with_name("fastapi_server.py")
    argv = [_python(), server, port, given]
    process = Started(argv, folder / "fastapi.log", core=SERVER, env={"PYTHONPATH": ""})
    try:
        urls = {
            f"fastapi {way} {name}": f"http://127.0.0.1:{port}/{way}/{name}"
            for way in ("default", "tuned")
            for name in NAMES
        }
        first = next(iter(urls.values()))
        await serving(process, first, **AUTHORIZED)
        yield [
            Subject(name=name, url=url, pids=[process.pid], headers=AUTHORIZED)
            for name, url in urls.items()
        ]
    finally:
        process.end()


def _python() -> str:
    found = os.environ.get(PYTHON)
    if not found:
        raise SystemExit(f"{PYTHON} names no Python with FastAPI: use make bench or bench-quick")
    return found


async def _bodies(running: Sidecar) -> dict[str, Any]:
    async with aiohttp.ClientSession(headers=AUTHORIZED) as session:
        found = {}
        for name in NAMES:
            async with session.get(running.url(f"/api/{name}")) as answer:
                found[name] = await answer.json()
        return found


async def _etag(url: str) -> str:
    async with aiohttp.ClientSession(headers=AUTHORIZED) as session, session.get(url) as answer:
        return answer.headers["ETag"]


def _findings(samples: Samples) -> list[Finding]:
    return [
        *_against_fastapi(samples),
        _cost_of_auth(samples),
        compared(
            samples,
            "positions",
            "account",
            target_id="P2",
            what="positions against account",
            target=0.9,
        ),
        *(
            compared(samples, f"{name} 304", name, target_id="P2", what=f"{name}: 304 against 200")
            for name in NAMES
        ),
    ]


def _against_fastapi(samples: Samples) -> list[Finding]:
    targets = {
        ("default", "account"): 4.0,
        ("default", "positions"): 15.0,
        ("tuned", "account"): 2.5,
        ("tuned", "positions"): 2.5,
    }
    return [
        compared(
            samples,
            name,
            f"fastapi {way} {name}",
            target_id="P1",
            what=f"{name} against FastAPI, {way}",
            target=target,
        )
        for (way, name), target in targets.items()
    ]


def _cost_of_auth(samples: Samples) -> Finding:
    asked_us, open_us = cpu_us(samples, "account asked"), cpu_us(samples, "account open")
    return Finding(
        target_id="P1",
        what="what auth adds to a read of the account (CPU)",
        value=(cpu_ratio(samples, "account open", "account asked") - 1) * 100,
        unit="%",
        sense="<=",
        target=15,
        beside=f"{asked_us:.0f} us against {open_us:.0f} us CPU, in one process",
    )
