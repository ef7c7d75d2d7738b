# SPDX-License-Identifier: Apache-2.0
"""One agent's connection: its messages in, our requests out, several at a time."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator
from typing import Any, Final

from mt5_agent import protocol
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.errors import TerminalTimeout
from mt5_sidecar.terminal.handshake import Unwelcome, agreed_version

READ_BYTES: Final = 64 * 1024
# Before the token is checked nobody may make us hold more than this.
HELLO_BYTES: Final = 4096
# The agent keeps the deadline itself; this is how long its word of it may take to come.
ANSWER_SLACK_S: Final = 1.0


class Session:
    """A connected agent. Made by `greet`, ended by either side, never used again after that."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, max_in_flight: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._max_in_flight = max_in_flight
        self._frames = protocol.Frames(max_bytes=HELLO_BYTES)
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[protocol.Answer]] = {}
        self._assembly = protocol.Assembly()
        self._places = asyncio.Semaphore(max_in_flight)
        self.epoch = ""

    async def greet(self, token: Secret, *, sidecar_version: str, timeout_s: float) -> None:
        """Return once the other end has proved to be this pod's agent.

        Raises:
            Unwelcome, protocol.ProtocolError, TimeoutError, OSError: it has not.
        """
        async with asyncio.timeout(timeout_s):
            hello = protocol.decode_from_agent(await self._first_body())
        version = agreed_version(hello, token)
        assert isinstance(hello, protocol.Hello)  # noqa: S101  agreed_version saw to it
        self.epoch = hello.epoch
        self._places = asyncio.Semaphore(max(1, min(self._max_in_flight, hello.max_in_flight)))
        self._frames.max_bytes = protocol.MAX_FRAME_BYTES
        self.send(protocol.Welcome(version=version, sidecar=sidecar_version))

    async def messages(self, *, silence_s: float) -> AsyncGenerator[protocol.FromAgent, None]:
        """Yield what the agent says of its own accord, and hand answers to who waits for them.

        Ends when the connection does.

        Raises:
            TimeoutError: it was silent for too long.
            protocol.ProtocolError: it spoke nonsense.
        """
        async for message in self._heard(silence_s):
            if isinstance(message, protocol.Part):
                if message.id in self._waiting:
                    self._assembly.add(message)
            elif isinstance(message, protocol.Answer):
                self._answered(message)
            else:
                yield message

    async def request(
        self,
        call: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        timeout_s: float,
        traceparent: str = "",
    ) -> protocol.Answer:
        """Return the agent's answer to one call, which is part of the trace that is named.

        Raises:
            TerminalTimeout: none came in time, or the connection ended: the outcome is unknown.
        """
        async with asyncio.timeout(timeout_s + ANSWER_SLACK_S) as deadline:
            async with self._places:
                remaining_s = (deadline.when() or 0) - asyncio.get_running_loop().time()
                request = protocol.Request(
                    id=next(self._ids),
                    call=call,
                    args=args,
                    kwargs=kwargs,
                    deadline_ms=max(1, int((remaining_s - ANSWER_SLACK_S) * 1000)),
                    traceparent=traceparent,
                )
                return await self._asked(request)

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    def send(self, message: protocol.FromSidecar) -> None:
        """Put `message` on the wire without waiting."""
        if not self._writer.is_closing():
            self._writer.write(protocol.encode(message))

    def close(self, reason: str) -> None:
        """Say goodbye and end; who still waits for an answer learns that none will come."""
        with contextlib.suppress(OSError):
            self.send(protocol.Goodbye(reason=reason))
        self._writer.close()
        self._abandon()

    async def _first_body(self) -> bytes:
        while data := await self._reader.read(READ_BYTES):
            for body in self._frames.feed(data):
                return body
        raise Unwelcome("closed before hello")

    async def _heard(self, silence_s: float) -> AsyncGenerator[protocol.FromAgent, None]:
        for body in self._frames.feed(b""):
            yield protocol.decode_from_agent(body)
        while data := await self._read(silence_s):
            for body in self._frames.feed(data):
                yield protocol.decode_from_agent(body)

    async def _read(self, silence_s: float) -> bytes:
        async with asyncio.timeout(silence_s):  # wait_for makes a task for each read before 3.12
            return await self._reader.read(READ_BYTES)

    async def _asked(self, request: protocol.Request) -> protocol.Answer:
        answer: asyncio.Future[protocol.Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        self.send(request)
        try:
            with contextlib.suppress(OSError):  # whoever reads the connection says that it broke
                await self._writer.drain()  # an agent that does not read is asked no more
            return await answer
        finally:
            # Whoever gave up is forgotten: a late answer finds nobody, and harms nobody.
            self._waiting.pop(request.id, None)
            self._assembly.forget(request.id)

    def _answered(self, answer: protocol.Answer) -> None:
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(self._assembly.whole(answer))

    def _abandon(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(TerminalTimeout("the agent's connection ended"))
