# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_sidecar` as a process of its own, and what the system tells of it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from sidecar_rig import Rig, eventually

from cluster.waiting import patience_s

PREFIX = "MT5_SIDECAR_"


class Process:
    """`python -m mt5_sidecar` with a rig's files, and what it said."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.lines: list[str] = []

    async def start(self, **environment: str) -> None:
        """Start it, on the ports that the system gives; `listens` tells which."""
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

    async def listens(self) -> None:
        """Return once it has started, its ports noted in the rig."""
        await eventually(lambda: self.said("started"), timeout_s=20)
        (started,) = self.said("started")
        ports = started["api_port"], started["ops_port"]
        self.rig.sidecar.api_port, self.rig.sidecar.ops_port = map(int, map(str, ports))

    async def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), patience_s(20))
        await self._reading
        return code

    def said(self, event: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, self.lines) if line["event"] == event]

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode())


def told_by_the_kernel(pid: int) -> list[str]:
    """Return what every process of the same user can read of `pid`."""
    home = Path(f"/proc/{pid}")
    return [(home / name).read_text() for name in ("cmdline", "environ")] if home.exists() else []
