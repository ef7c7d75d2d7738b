# SPDX-License-Identifier: Apache-2.0
"""The sidecar as a process of its own: how it starts, what it never shows, how it ends."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_agent import PASSWORD
from sidecar_rig import KEY, Rig, api_key, eventually

from cluster.ports import free_port
from mt5_agent import protocol

PREFIX = "MT5_SIDECAR_"
KEYS = (KEY, api_key("unknown"), None)
PATHS = ("/api/status", "/api/account", "/api/nowhere", "/api/symbols/EURUSD")
OPS_PATHS = ("/metrics", "/readyz", "/internal/state")


class Process:
    """`python -m mt5_sidecar` with a rig's files, and what it said."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.lines: list[str] = []

    async def start(self, **environment: str) -> None:
        settings = self.rig.settings.model_dump(exclude_unset=True)
        own = {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
        looks = {f"{PREFIX}FILE_POLL_INTERVAL_S": "0.05", f"{PREFIX}LOG_LEVEL": "debug"}
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        path = os.pathsep.join(part for part in sys.path if part)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mt5_sidecar"),
            env=kept | {"PYTHONPATH": path} | own | looks | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read())

    async def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), 20)
        await self._reading
        return code

    def said(self, event: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, self.lines) if line["event"] == event]

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode())


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    started = Process(Rig(tmp_path, agent_port=free_port()))
    yield started
    if started.process.returncode is None:
        await started.stop()
    for agent in started.rig.agents:
        await agent.stop()


def told_by_the_kernel(pid: int) -> list[str]:
    home = Path(f"/proc/{pid}")
    return [(home / name).read_text() for name in ("cmdline", "environ")] if home.exists() else []


async def test_no_secret_is_in_logs_arguments_environment_state_or_metrics(
    process: Process,
) -> None:
    rig = process.rig
    await process.start()
    await eventually(lambda: process.said("started"), timeout_s=20)
    (started,) = process.said("started")
    rig.sidecar.api_port, rig.sidecar.ops_port = started["api_port"], started["ops_port"]
    token = (rig.folder / "agent/token").read_text()
    agent = rig.new_agent_on(rig.settings.agent_port)
    await agent.connect()
    await eventually(lambda: agent.heard_of(protocol.Login))
    impostor = rig.new_agent_on(rig.settings.agent_port, token="canary-token-guess")
    await impostor.connect()
    await eventually(lambda: impostor.closed.is_set())

    shown = [(await rig.get(path, key=key)).body.decode() for key in KEYS for path in PATHS]
    shown += [(await rig.ops(path)).body.decode() for path in OPS_PATHS]
    rig.put("credentials/password", f"{PASSWORD}-second")
    await eventually(lambda: len(process.said("credentials_changed")) == 2)
    rig.put("credentials/password", f"{PASSWORD}\xff".encode("latin-1"))
    await eventually(lambda: process.said("password_is_not_utf8"))
    shown += told_by_the_kernel(process.process.pid)
    assert await process.stop() == 0

    shown += process.lines
    for secret in (PASSWORD, token, KEY, api_key("unknown"), "canary-token-guess"):
        assert not [text for text in shown if secret in text]
    assert shown


async def test_it_ends_in_order_when_told_to(process: Process) -> None:
    await process.start()
    await eventually(lambda: process.said("started"), timeout_s=20)

    assert await process.stop() == 0
    assert process.said("stopped")


async def test_a_wrong_setting_is_named_in_one_line_of_json(process: Process) -> None:
    await process.start(MT5_SIDECAR_LOGIN="-5")

    assert await asyncio.wait_for(process.process.wait(), 20) == 2
    await process._reading
    (line,) = process.lines
    assert "login" in json.loads(line)["faults"][0]
