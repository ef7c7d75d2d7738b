# SPDX-License-Identifier: Apache-2.0
"""Child processes: started with their stdin held open, so that they end when the supervisor
does."""

import asyncio
import contextlib
from collections.abc import Sequence


class Child:
    """A process of ours. Nothing secret is ever in `argv`; its environment is the supervisor's
    own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Own `process`."""
        self.process = process

    @classmethod
    async def start(cls, argv: Sequence[str], *, speaks: bool) -> "Child":
        """Start `argv`; `speaks`: its stdout is read."""
        stdout = asyncio.subprocess.PIPE if speaks else asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=stdout
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self.process.pid

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return await self.process.wait()

    async def stop(self, patience_s: float) -> None:
        """Ask it to end by closing its stdin; kill it when it does not."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            async with asyncio.timeout(patience_s):
                await self.process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it now. Under Wine too this is the Linux process, which ends at once (MT5.md 0)."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
