# SPDX-License-Identifier: Apache-2.0
"""Our sidecar as a process on the server's core, with an agent and an API key."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench import account
from bench.agent import PASSWORD, Agent
from bench.cores import SERVER
from bench.processes import Started
from cluster.ports import free_port

SECRET: Final = "b" * 43
KEY: Final = f"mt5_bench_{SECRET}"
AUTHORIZED: Final = {"X-API-Key": KEY}
PATIENCE_S: Final = 20.0
SHIPPED: Final = "MT5_BRIDGE_SHIPPED_PYTHON"
POD_UID: Final = "bench"
NO_LIMIT: Final = 1_000_000_000


@dataclass(frozen=True)
class Sidecar:
    """A running sidecar."""

    pid: int
    port: int
    agent_port: int
    ops_port: int
    folder: Path

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def agent_token(self) -> str:
        """Return what an agent has to say."""
        return (self.folder / "token").read_text()


@asynccontextmanager
async def sidecar(
    folder: Path, *, module: str = "mt5_sidecar", settings: Mapping[str, object] | None = None
) -> AsyncIterator[Sidecar]:
    """Run one without an agent; `settings` replace ours."""
    (folder / "journal").mkdir(parents=True)
    _write_files(folder)
    ports = {name: free_port() for name in ("api_port", "ops_port", "agent_port")}
    environment = {
        f"MT5_SIDECAR_{name.upper()}": value
        for name, value in (_settings(folder) | ports | dict(settings or {})).items()
    }
    argv = [shipped_python(), "-m", module]
    process = Started(argv, folder / "log", core=SERVER, env=environment)
    running = Sidecar(
        process.pid, ports["api_port"], ports["agent_port"], ports["ops_port"], folder
    )
    try:
        await serving(process, running.url("/api/health"))
        yield running
    finally:
        process.end()


@asynccontextmanager
async def connected(running: Sidecar, **headers: str) -> AsyncIterator[Agent]:
    """Give it the agent that shows `bench.account`, and wait until clients see that."""
    agent = Agent(running.agent_port, running.agent_token)
    await agent.start()
    try:
        await until(lambda: answers(running.url("/api/positions"), **AUTHORIZED, **headers))
        await until(lambda: _seen(agent))
        yield agent
    finally:
        await agent.stop()


async def serving(process: Started, url: str, **headers: str) -> None:
    """Return once `process` answers; fail with its last words if it has ended."""

    async def look() -> bool:
        process.check()
        return await answers(url, **headers)

    await until(look)


async def answers(url: str, **headers: str) -> bool:
    """Tell whether a GET is answered well."""
    try:
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Return once `look` is true; fail if that takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not await look():
            await asyncio.sleep(0.05)


def shipped_python() -> str:
    """Return a Python with what the image has: more packages change how much some libraries load.

    Raises:
        SystemExit: `make` made none.
    """
    found = os.environ.get(SHIPPED)
    if not found:
        raise SystemExit(f"{SHIPPED} names no Python with locks/sidecar.txt: use make bench")
    return found


async def _seen(agent: Agent) -> bool:
    return agent.asked >= set(account.SYMBOLS)


def _settings(folder: Path) -> dict[str, object]:
    return {
        "account_id": "10001",
        "login": 10001,
        "server": "Simulator-Demo",
        "pod_uid": POD_UID,
        "api_host": "127.0.0.1",
        "ops_host": "127.0.0.1",
        "agent_token_file": folder / "token",
        "credentials_file": folder / "password",
        "account_file": folder / "account.json",
        "keys_file": folder / "keys.json",
        "operator_jwks_file": folder / "operator.jwks.json",
        "journal_dir": folder / "journal",
        # Between two loads nobody looks: an account that turns stale would change the bodies.
        "stale_after_s": 3600,
        "drain_jitter_s": 0,
        # No load may meet its limit, and the buckets are taken from all the same: they cost time.
        "key_requests_per_s": NO_LIMIT,
        "key_request_burst": NO_LIMIT,
        "account_requests_per_s": NO_LIMIT,
        "account_request_burst": NO_LIMIT,
    }


def _write_files(folder: Path) -> None:
    key = {
        "id": "bench",
        "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
        "accounts": ["10001"],
        "scopes": ["read"],
        "expires": None,
    }
    trading = {"enabled": False, "max_volume": None, "symbols": None}
    files = {
        "password": PASSWORD,
        "keys.json": json.dumps({"version": 1, "keys": [key]}),
        "account.json": json.dumps({"version": 1, "symbols": ["EURUSD"], "trading": trading}),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
