# SPDX-License-Identifier: Apache-2.0
"""The sidecar as a process of its own: how it starts, what it never shows, how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_agent import PASSWORD
from sidecar_process import Process, told_by_the_kernel
from sidecar_rig import KEY, Rig, api_key, eventually

from cluster.ports import free_port
from cluster.waiting import patience_s
from mt5_agent import protocol

KEYS = (KEY, api_key("unknown"), None)
PATHS = ("/api/status", "/api/account", "/api/nowhere", "/api/symbols/EURUSD")
OPS_PATHS = ("/metrics", "/readyz", "/internal/state")


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    started = Process(Rig(tmp_path, agent_port=free_port()))
    yield started
    if started.process.returncode is None:
        await started.stop()
    for agent in started.rig.agents:
        await agent.stop()


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

    assert await asyncio.wait_for(process.process.wait(), patience_s(20)) == 2
    await process._reading
    (line,) = process.lines
    assert "login" in json.loads(line)["faults"][0]
