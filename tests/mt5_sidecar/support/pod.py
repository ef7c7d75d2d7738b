# SPDX-License-Identifier: Apache-2.0
"""A pod without Kubernetes: sidecar, agent, worker and simulated terminal, each a process."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import aiohttp
from real_agent import RealAgent
from sidecar_process import Process
from sidecar_rig import Rig, api_key, key_record

from cluster.ports import free_port

SCOPES = ("read", "trade", "resolve", "admin")
ALL = api_key("all")
READY_S = 60.0
ASK_AGAIN_S = 0.1


class Pod:
    """Account 10001, whose key `ALL` may do everything; nobody is asked to slow down."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        unlimited = {"key_requests_per_s": 0, "account_requests_per_s": 0}
        self.rig = Rig(folder, agent_port=free_port(), **(unlimited | settings))
        self.rig.put_account(enabled=True, symbols=("EURUSD", "XAUUSD"))
        self.rig.put_keys([key_record("all", accounts=["10001"], scopes=[*SCOPES])])
        self.sidecar = Process(self.rig)
        self.agent = RealAgent(self.rig, folder / "terminal")

    async def start(self) -> None:
        """Return once the account is connected and may trade."""
        await self.sidecar.start()
        await self.sidecar.listens()
        await self.agent.start()
        await self._serves()

    async def stop(self) -> None:
        """End both, the agent first: it then ends because it is told to."""
        for socket in self.rig._sockets:
            socket.transport.abort()
        for stranger in self.rig.agents:
            await stranger.stop()
        with contextlib.suppress(ProcessLookupError):
            await self.agent.stop()
        self.exit_code = await self.sidecar.stop()

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.rig.sidecar.api_port}"

    async def _serves(self) -> None:
        end_s = time.monotonic() + READY_S
        while not await self._ready():
            assert time.monotonic() < end_s, self.sidecar.lines[-20:]
            await asyncio.sleep(ASK_AGAIN_S)

    async def _ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            ticks = await self.rig.get("/api/ticks", key=ALL)
            check = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.01"}
            checked = await self.rig.request("POST", "/api/order/check", key=ALL, json=check)
            return (ticks.status, checked.status) == (200, 200)
        return False
