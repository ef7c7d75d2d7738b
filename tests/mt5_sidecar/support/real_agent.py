# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_agent` with the simulator's processes behind it, as the pod has them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar_rig import OWN, TRADER, Rig, eventually

from cluster.waiting import patience_s

ENDS_WITHIN_S = 30.0


class RealAgent:
    """Supervisor, worker and simulated terminal, connected to a rig."""

    def __init__(self, rig: Rig, folder: Path, *, platform: str = "Linux") -> None:
        # A sidecar in a process of its own is told its port; one in ours has taken a free one.
        port = rig.settings.agent_port or rig.context.terminal.agent_port
        self.log = b""
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
            "MT5_AGENT_BACKEND": "simulator",
            "MT5_AGENT_PLATFORM": platform,
            "MT5_AGENT_DATA_DIR": str(folder),
            "MT5_AGENT_SIDECAR_ADDRESS": f"127.0.0.1:{port}",
            "MT5_AGENT_TOKEN_FILE": str(rig.settings.agent_token_file),
            "MT5_AGENT_POLL_INTERVAL_S": "0.1",
            "MT5_AGENT_TICK_INTERVAL_S": "0.1",
        }

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mt5_agent"),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read())

    def processes(self) -> set[int]:
        """Return the supervisor and all that it or its children started, whoever is their parent
        by now."""
        mark = f"MT5_AGENT_DATA_DIR={self._environment['MT5_AGENT_DATA_DIR']}\0".encode()
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return {pid for pid in pids if mark in _environment(pid)}

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(patience_s(ENDS_WITHIN_S)):
            await self._process.wait()
            await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(65_536):
            self.log += data


@asynccontextmanager
async def trading(rig: Rig, folder: Path) -> AsyncIterator[RealAgent]:
    """Run an agent for the rig's account from when a trade would be taken."""
    rig.put_account(enabled=True)
    rig.put_keys([OWN, TRADER])
    rig.look()
    agent = RealAgent(rig, folder)
    await agent.start()
    try:
        await eventually(lambda: rig.context.office.desk.ready, timeout_s=30)
        yield agent
    finally:
        await agent.stop()


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # it ended
