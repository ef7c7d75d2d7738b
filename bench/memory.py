# SPDX-License-Identifier: Apache-2.0
"""P13: memory of the sidecar, with the packages that its image has, of a WebSocket client in it,
and of a real agent with its children."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.cores import LOAD
from bench.findings import Finding
from bench.listeners import Audience
from bench.processes import Started, descendants, pss_bytes, rss_bytes
from bench.rounds import Effort
from bench.sidecar import AUTHORIZED, POD_UID, Sidecar, answers, shipped_python, sidecar, until
from cluster.paths import REPOSITORY

CLIENTS: Final = 300
SETTLE_S: Final = 2.0
_MB: Final = 1e6


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return what P13 asks for. No ratio: memory is not a matter of speed."""
    del effort
    _compile()
    async with (
        sidecar(folder / "sidecar", settings={"ws_max_sockets": 1000}) as running,
        agent(folder, running) as agent_pid,
    ):
        await until(lambda: answers(running.url("/api/positions"), **AUTHORIZED))
        await asyncio.sleep(SETTLE_S)
        idle = rss_bytes(running.pid)
        await _operator_looks(running)
        looked_at = rss_bytes(running.pid)
        each = await _per_client(running)
        pids = (agent_pid, *descendants(agent_pid))
        sizes, resident = [pss_bytes(pid) for pid in pids], [rss_bytes(pid) for pid in pids]
    return [
        _finding("sidecar, idle", idle / _MB, "MB", 60, limit=54),
        _finding(
            "sidecar, idle, after the operator's look",
            looked_at / _MB,
            "MB",
            60,
            "PyJWT and cryptography with it: as in a pod",
            limit=62,
        ),
        _finding(
            "per idle WebSocket client", each / 1e3, "kB", 20, f"of {CLIENTS} clients", limit=22
        ),
        _finding(
            "agent with worker and simulated terminal",
            sum(sizes) / _MB,
            "MB",
            50,
            " + ".join(f"{size / _MB:.0f}" for size in sizes)
            + f" MB, shared pages once; RSS, with them in each, {sum(resident) / _MB:.0f} MB",
            limit=50,
        ),
    ]


def _compile() -> None:
    # As in the image: who compiles while it starts keeps some of what that took.
    argv = [shipped_python(), "-m", "compileall", "-q", str(REPOSITORY / "sidecar")]
    subprocess.run(argv, check=True)


async def _operator_looks(running: Sidecar) -> None:
    """Ask for the state as the operator does, with a token that it signs."""
    key = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": public}
    (running.folder / "operator.jwks.json").write_text(json.dumps({"keys": [jwk]}))
    claims = {"iss": "mt5-bridge-operator", "aud": POD_UID, "exp": time.time() + 60}
    token = jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "k1"})
    url = f"http://127.0.0.1:{running.ops_port}/internal/state"
    await until(lambda: answers(url, Authorization=f"Bearer {token}"))
    await asyncio.sleep(SETTLE_S)


async def _per_client(running: Sidecar) -> float:
    audience = Audience(running.port, "/ws?channels=positions", AUTHORIZED)
    try:
        # The first ones pay for what all share.
        await audience.join(CLIENTS // 10)
        await asyncio.sleep(SETTLE_S)
        few = rss_bytes(running.pid)
        await audience.join(CLIENTS)
        await asyncio.sleep(SETTLE_S)
        return (rss_bytes(running.pid) - few) / (CLIENTS - CLIENTS // 10)
    finally:
        audience.leave()


@asynccontextmanager
async def agent(
    folder: Path, running: Sidecar, *, settings: Mapping[str, object] | None = None
) -> AsyncIterator[int]:
    """Run a real agent with the simulator, and give its process id."""
    environment = {
        "MT5_AGENT_BACKEND": "simulator",
        "MT5_AGENT_DATA_DIR": folder / "terminal",
        "MT5_AGENT_SIDECAR_ADDRESS": f"127.0.0.1:{running.agent_port}",
        "MT5_AGENT_TOKEN_FILE": running.folder / "token",
        **{f"MT5_AGENT_{name}": value for name, value in (settings or {}).items()},
    }
    (folder / "terminal").mkdir()
    argv = [sys.executable, "-m", "mt5_agent"]
    process = Started(argv, folder / "agent.log", core=LOAD, env=environment)
    try:
        yield process.pid
    finally:
        process.end()


def _finding(
    what: str, value: float, unit: str, target: float, beside: str = "", *, limit: float
) -> Finding:
    return Finding(
        target_id="P13",
        what=what,
        value=value,
        unit=unit,
        sense="<=",
        target=target,
        limit=limit,
        beside=beside,
    )
