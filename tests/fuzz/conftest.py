# SPDX-License-Identifier: Apache-2.0
"""What nobody should send, sent: to every operation, socket and frame; and who may not."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# The rig is that of the sidecar's own tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "mt5_sidecar" / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from rig_fixtures import (  # noqa: F401  a fixture is had by its name
    bridge,
    broker,
    pytest_asyncio_loop_factories,
    rig,
    rig_with,
)
from world import Survivor


@pytest.fixture
async def survivor(tmp_path: Path) -> AsyncIterator[Survivor]:
    """A sidecar process that is to survive the test."""
    started = Survivor(tmp_path)
    await started.start()
    yield started
    await started.stop()
