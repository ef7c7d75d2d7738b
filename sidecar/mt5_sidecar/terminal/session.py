# SPDX-License-Identifier: Apache-2.0
"""One agent's connection: its messages in, our requests out, several at a time."""

import asyncio
import itertools
from typing import Any, Final, Protocol

from mt5_agent import protocol
from mt5_sidecar import __version__
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.errors import TerminalTimeout
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.handshake import Unwelcome, agreed_version
from mt5_sidecar.terminal.wire import Wire

# Before the token is checked nobody may make us hold more than this.
HELLO_BYTES: Final = 4096
# The agent keeps the deadline itself; this is how long its word of it may take to come. No knob:
# by it an order's outcome is unknown, and orders.office counts on when that is.
ANSWER_SLACK_S: Final = 1.0
TOO_LATE: Final = protocol.Fault(0, "the deadline passed before the agent could be asked")
NOT_SENT: Final = protocol.Fault(0, "the agent's connection ended before the call was made")


class Host(Protocol):
    """Who is told what becomes of a session. Must return at once, and not raise."""

    def greeted(self, session: "Session") -> None:
        """The other end has proved to be this pod's agent."""

    def said(self, message: protocol.FromAgent) -> None:
        """The agent said this of its own accord."""

    def ended(self, session: "Session", error: Exception | None) -> None:
        """The other end hung up, or has to be sent away: `close` it."""


class Session:
    """A connected agent. Greeted once, ended by either side, never used again after that."""

    def __init__(self, host: Host, token: Secret, settings: Settings) -> None:
        self._host = host
        self._token = token
        self._settings = settings
        self._greeted = False
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[protocol.Answer]] = {}
        self._assembly = protocol.Assembly()
        self._places = asyncio.Semaphore(settings.agent_requests_in_flight)
        self.epoch = ""
        self.wire = Wire(self, max_bytes=HELLO_BYTES, within_s=settings.agent_hello_timeout_s)

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
            TimeoutError: none came in time: the outcome is unknown.
            TerminalTimeout: nor will one come, for the connection ended.
        """
        number, asked = next(self._ids), False
        try:
            async with asyncio.timeout(timeout_s + ANSWER_SLACK_S) as deadline, self._places:
                await self.wire.writable()  # an agent that does not read is asked no more
                if not self.wire.is_open:
                    return protocol.Answer(id=number, outcome="not_sent", fault=NOT_SENT)
                remaining_s = (deadline.when() or 0) - asyncio.get_running_loop().time()
                request = protocol.Request(
                    id=number,
                    call=call,
                    args=args,
                    kwargs=kwargs,
                    deadline_ms=max(1, int((remaining_s - ANSWER_SLACK_S) * 1000)),
                    traceparent=traceparent,
                )
                asked = True
                return await self._asked(request)
        except TimeoutError:
            if asked:
                raise
            return protocol.Answer(id=number, outcome="not_sent", fault=TOO_LATE)

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    def send(self, message: protocol.FromSidecar) -> None:
        """Put `message` on the wire without waiting."""
        self.wire.write(message)

    def close(self, reason: str) -> None:
        """Say goodbye and end; who still waits for an answer learns that none will come."""
        self.wire.close(reason)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(TerminalTimeout("the agent's connection ended"))

    # What the wire tells us (terminal.wire.Hearer).

    def heard(self, message: protocol.FromAgent) -> None:
        """Hand an answer to who waits for it, and what the agent says of its own accord on."""
        if not self._greeted:
            self._greet(message)
        elif isinstance(message, protocol.Answer):
            self._answered(message)
        elif isinstance(message, protocol.Part):
            if message.id in self._waiting:
                self._assembly.add(message)
        else:
            self._host.said(message)

    def ended(self, error: Exception | None) -> None:
        """Pass it on, with what was missing."""
        if error is None and not self._greeted:
            error = Unwelcome("closed before hello")
        self._host.ended(self, error)

    def _greet(self, hello: protocol.FromAgent) -> None:
        version = agreed_version(hello, self._token)
        assert isinstance(hello, protocol.Hello)  # noqa: S101  agreed_version saw to it
        self._greeted = True
        self.epoch = hello.epoch
        most = min(self._settings.agent_requests_in_flight, hello.max_in_flight)
        self._places = asyncio.Semaphore(max(1, most))
        silence_s = self._settings.agent_silence_timeout_s
        self.wire.trust(max_bytes=protocol.MAX_FRAME_BYTES, silence_s=silence_s)
        self.send(protocol.Welcome(version=version, sidecar=__version__))
        self._host.greeted(self)

    async def _asked(self, request: protocol.Request) -> protocol.Answer:
        answer: asyncio.Future[protocol.Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        try:
            self.send(request)
            return await answer
        finally:
            # Whoever gave up is forgotten: a late answer finds nobody, and harms nobody.
            self._waiting.pop(request.id, None)
            self._assembly.forget(request.id)

    def _answered(self, answer: protocol.Answer) -> None:
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(self._assembly.whole(answer))
