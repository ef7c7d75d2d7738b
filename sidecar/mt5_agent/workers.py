# SPDX-License-Identifier: Apache-2.0
"""The supervisor's end of a worker process."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from mt5_agent.pipe import MAX_PIPE_BYTES, Done, Job, Ready
from mt5_agent.processes import Child
from mt5_agent.protocol import Frames, ProtocolError, encode

_READ_BYTES: Final = 65_536
_FIRST_WORD_S: Final = 60.0
"""Importing the package takes 2.6 s under Wine with a cold server (MT5.md 0); this is not a
start."""


class WorkerGone(Exception):
    """The worker ended, or spoke nonsense: what it was doing may have happened."""


class WorkerProcess:
    """One worker. `do` one job at a time; never answers after `kill`."""

    def __init__(self, child: Child) -> None:
        """Speak with `child`."""
        self._child = child
        self._frames = Frames(max_bytes=MAX_PIPE_BYTES)
        self._bodies: list[bytes] = []
        self.package = ""

    @classmethod
    async def start(cls, argv: Sequence[str]) -> "WorkerProcess":
        """Start a worker and wait until the package is imported.

        Raises:
            WorkerGone: It could not be.
        """
        worker = cls(await Child.start(argv, speaks=True))
        try:
            async with asyncio.timeout(_FIRST_WORD_S):
                worker.package = msgspec.msgpack.decode(await worker._body(), type=Ready).package
        except (TimeoutError, msgspec.DecodeError) as error:
            await worker.kill()
            raise WorkerGone("no first word") from error
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._child.pid

    async def do(self, job: Job) -> Done:
        """Have `job` done, however long it takes.

        Raises:
            WorkerGone: The worker ended instead.
        """
        stdin = self._child.process.stdin
        if stdin is None:
            raise WorkerGone
        try:
            stdin.write(encode(job))
            await stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise WorkerGone(str(error)) from error
        return msgspec.msgpack.decode(await self._body(), type=Done)

    async def ended(self) -> int:
        """Wait for its end."""
        return await self._child.ended()

    async def kill(self) -> None:
        """End it, whatever it is doing."""
        await self._child.kill()

    async def _body(self) -> bytes:
        stdout = self._child.process.stdout
        while not self._bodies:
            data = await stdout.read(_READ_BYTES) if stdout else b""
            if not data:
                raise WorkerGone("its output closed")
            try:
                self._bodies.extend(self._frames.feed(data))
            except ProtocolError as error:
                raise WorkerGone(str(error)) from error
        return self._bodies.pop(0)
