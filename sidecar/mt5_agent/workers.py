# SPDX-License-Identifier: Apache-2.0
"""The supervisor's end of a worker process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from mt5_agent.pipe import MAX_PIPE_BYTES, Done, Job, Ready
from mt5_agent.processes import Child
from mt5_agent.protocol import Frames, ProtocolError, encode

_DONE: Final = msgspec.msgpack.Decoder(Done)
_READY: Final = msgspec.msgpack.Decoder(Ready)


class WorkerGone(Exception):
    """The worker ended, or spoke nonsense: what it was doing may have happened."""


class WorkerProcess:
    """One worker. `give` it one job at a time; nothing comes from it after `kill`."""

    def __init__(self) -> None:
        """Speak with a process that `start` starts."""
        self._child: Child | None = None
        self._frames = Frames(max_bytes=MAX_PIPE_BYTES)
        self._first_word: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._finish: Callable[[Done | None], None] | None = None
        self._gone = asyncio.Event()
        self.package = ""

    @classmethod
    async def start(cls, argv: Sequence[str], *, within_s: float) -> "WorkerProcess":
        """Start a worker and wait until the package is imported.

        Raises:
            WorkerGone: It could not be within `within_s`.
        """
        worker = cls()
        worker._child = await Child.start(argv, heard=worker._heard)
        try:
            async with asyncio.timeout(within_s):
                worker.package = await worker._first_word
        except TimeoutError as error:
            await worker.kill()
            raise WorkerGone("no first word") from error
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._process.pid

    def give(self, job: Job, finish: Callable[[Done | None], None]) -> None:
        """Have `job` done, however long it takes; `finish` hears how it ended, or None when the
        worker ended instead."""
        if self._gone.is_set() or self._finish is not None:
            finish(None)  # one that was left with a job would answer that one
            return
        self._finish = finish
        self._process.tell(encode(job))

    async def do(self, job: Job) -> Done:
        """Have `job` done, however long it takes.

        Raises:
            WorkerGone: The worker ended instead.
        """
        future: asyncio.Future[Done | None] = asyncio.get_running_loop().create_future()

        def finish(done: Done | None) -> None:
            if not future.done():
                future.set_result(done)

        self.give(job, finish)
        done = await future
        if done is None:
            raise WorkerGone
        return done

    async def ended(self) -> None:
        """Wait until it says no more; all that it said was heard."""
        await self._gone.wait()

    async def kill(self) -> None:
        """End it, whatever it is doing."""
        await self._process.kill()
        self._heard(b"")

    @property
    def _process(self) -> Child:
        if self._child is None:
            raise WorkerGone
        return self._child

    def _heard(self, data: bytes) -> None:
        if not data:
            self._end("its output closed")
            return
        try:
            for body in self._frames.feed(data):
                self._understand(body)
        except (ProtocolError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._end(str(error))

    def _understand(self, body: bytes) -> None:
        if not self._first_word.done():
            self._first_word.set_result(_READY.decode(body).package)
            return
        done, finish = _DONE.decode(body), self._finish
        self._finish = None
        if finish is not None:
            finish(done)

    def _end(self, why: str) -> None:
        self._gone.set()
        if not self._first_word.done():
            self._first_word.set_exception(WorkerGone(why))
            self._first_word.exception()  # nobody may wait for it any more
        finish, self._finish = self._finish, None
        if finish is not None:
            finish(None)
