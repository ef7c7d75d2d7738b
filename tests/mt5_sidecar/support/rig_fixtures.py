# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a sidecar in the test's process. A conftest imports them, and so has them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_broker import ScriptedBroker
from sidecar_rig import Rig

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the sidecar runs on in earnest: its transports are not asyncio's by type."""
    return {"uvloop": uvloop.new_event_loop} if uvloop else {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def rig_with(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Starts a sidecar with other settings."""
    rigs: list[Rig] = []

    async def start(**settings: Any) -> Rig:
        rigs.append(Rig(tmp_path, **settings))
        await rigs[-1].start()
        return rigs[-1]

    yield start
    for rig in rigs:
        await rig.stop()


@pytest.fixture
async def rig(rig_with: Callable[..., Awaitable[Rig]]) -> Rig:
    """A running sidecar without an agent."""
    return await rig_with()


@pytest.fixture
async def broker(rig: Rig) -> ScriptedBroker:
    """The broker behind `rig`, whose account is connected and may trade."""
    return await rig.trades()


@pytest.fixture
async def bridge(rig: Rig) -> Rig:
    """A running sidecar whose account is connected."""
    await rig.connected()
    return rig
