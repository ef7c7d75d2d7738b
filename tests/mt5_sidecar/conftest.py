# SPDX-License-Identifier: Apache-2.0
"""A sidecar on free ports of loopback, and an agent that speaks the real protocol to it."""

import sys
from pathlib import Path

# The folder cannot be a package: its name is that of the package under test.
sys.path.insert(0, str(Path(__file__).parent / "support"))

from rig_fixtures import (  # noqa: F401  a fixture is had by its name
    bridge,
    broker,
    pytest_asyncio_loop_factories,
    rig,
    rig_with,
)
