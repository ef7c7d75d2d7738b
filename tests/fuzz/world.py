# SPDX-License-Identifier: Apache-2.0
"""A sidecar process that is to outlive a test, its memory looked at."""

import asyncio
import contextlib
import json
from collections import deque
from pathlib import Path
from typing import Any, Final

import websockets
from account_records import position
from scripted_broker import ScriptedBroker
from sidecar_process import Process
from sidecar_rig import Rig, api_key, eventually, heard, key_record

from cluster.ports import free_port
from cluster.waiting import patience_s

ALL: Final = api_key("all")
# Nothing that strangers send may be kept: what Python itself takes for more code and arenas.
MOST_GROWTH_BYTES: Final = 48 * 1024 * 1024
ANSWERS_WITHIN_S: Final = 5.0
FAULTS: Final = ("unexpected_error", "stream_failed", "housekeeping_failed")


class Survivor:
    """`python -m mt5_sidecar` with a scripted agent, and a client that must notice nothing."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        unlimited: dict[str, Any] = {"key_requests_per_s": 0, "account_requests_per_s": 0}
        unlimited["agent_hello_timeout_s"] = 3
        self.rig = Rig(folder, agent_port=free_port(), **(unlimited | settings))
        self.rig.put_account(enabled=True)
        scopes = ["read", "trade", "resolve", "admin"]
        self.rig.put_keys([key_record("all", accounts=["10001"], scopes=scopes)])
        self.sidecar = Process(self.rig)
        self.told: deque[dict[str, Any]] = deque(maxlen=100)
        """What the witness heard last."""

    async def start(self) -> None:
        """Return once the account is connected, and its witness listens."""
        await self.sidecar.start()
        await self.sidecar.listens()
        await self.connect()
        self.witness = await self.rig.ws(key=ALL)
        await heard(self.witness, "snapshot")
        self._reading = asyncio.create_task(self._read())
        self._first_bytes = self.memory_bytes()

    async def connect(self) -> None:
        """Connect an agent that trades."""
        agent = self.rig.new_agent_on(self.rig.settings.agent_port)
        agent.positions = [position(7)]
        ScriptedBroker(agent)
        connected = len(self.sidecar.said("agent_connected"))
        await agent.connect()
        await eventually(lambda: agent.login_id, timeout_s=10)
        await eventually(lambda: len(self.sidecar.said("agent_connected")) > connected)

    async def stop(self) -> None:
        """Tell it to end."""
        self._reading.cancel()
        for socket in self.rig._sockets:
            socket.transport.abort()
        for agent in self.rig.agents:
            await agent.stop()
        if self.sidecar.process.returncode is None:
            await self.sidecar.stop()

    @property
    def port(self) -> int:
        """The API's port."""
        return int(self.rig.sidecar.api_port)

    def memory_bytes(self) -> int:
        """Return the process's resident memory."""
        for line in Path(f"/proc/{self.sidecar.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process is gone")

    async def _read(self) -> None:
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            async for message in self.witness:
                self.told.append(json.loads(message))

    async def is_unharmed(self) -> None:
        """Fail unless it lives, serves its other client, and says of no fault of its own."""
        assert self.sidecar.process.returncode is None, self.sidecar.lines[-5:]
        async with asyncio.timeout(patience_s(ANSWERS_WITHIN_S)):
            await (await self.witness.ping())
        assert (await self.rig.get("/api/positions", key=ALL)).status == 200
        assert not [line for fault in FAULTS for line in self.sidecar.said(fault)]
        traces = [line for line in self.sidecar.lines if "Traceback" in line]
        assert not traces, traces[-1]
        assert self.memory_bytes() - self._first_bytes < MOST_GROWTH_BYTES
