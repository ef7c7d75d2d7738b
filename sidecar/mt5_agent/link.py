# SPDX-License-Identifier: Apache-2.0
"""The connection to the sidecar: made again for ever; what the terminal does meanwhile is not its
business."""

import asyncio
import contextlib
import logging
from collections import deque
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from mt5_agent.backoff import Backoff
from mt5_agent.first import first
from mt5_agent.outbox import Outbox
from mt5_agent.protocol import (
    OLDEST_VERSION,
    VERSION,
    Answer,
    Frames,
    FromSidecar,
    Goodbye,
    Hello,
    Part,
    ProtocolError,
    Snapshot,
    State,
    Welcome,
    decode_from_sidecar,
    encode,
)
from mt5_agent.settings import Settings

_READ_BYTES: Final = 65_536
_WELCOME_S: Final = 5.0
_TOKEN_LOOK_S: Final = 0.2
_MOST_BACKOFF_S: Final = 2.0
"""The sidecar is in the same pod: there is no crowd to be gentle with."""
_log = logging.getLogger(__name__)


class Source(Protocol):
    """What a link tells of, and whom it tells what comes in."""

    def hello(self) -> dict[str, Any]:
        """Return the fields of Hello except token and versions of the protocol."""

    def state(self) -> State:
        """Return the State."""

    def polls(self) -> dict[str, tuple[int, ...]]:
        """Return how long each look took since the last time; see `State.polls`."""

    def joined(self) -> None:
        """A sidecar is there, and knows nothing."""

    def left(self, connection: object) -> None:
        """The sidecar of `connection` is gone, with all that it asked for."""

    def take(self) -> list[Snapshot]:
        """Return the snapshots that are to be sent."""

    def handle(self, message: FromSidecar, link: "Link") -> None:
        """Do what the sidecar says."""


class Link:
    """One sidecar at a time; never queues more than some answers to what it asked."""

    def __init__(self, source: Source, settings: Settings) -> None:
        """Speak for `source`."""
        self._source, self._settings = source, settings
        self._outbox = Outbox(most=2 * settings.max_in_flight)
        self._version = VERSION
        self._wake = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._told: State | None = None
        self.connection = object()
        """Names the present connection: an answer must never reach the sidecar of another."""

    def wake(self) -> None:
        """Say that there is something to send."""
        self._wake.set()

    def send(self, answer: Answer, connection: object) -> None:
        """Send `answer` if `connection` is still the present one."""
        if connection is self.connection:
            self._outbox.put(answer)
            self._wake.set()

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        backoff = Backoff(first_s=0.1, most_s=_MOST_BACKOFF_S)
        while True:
            try:
                await self._once(backoff)
            except (OSError, ProtocolError, TimeoutError) as error:
                _log.info("no sidecar: %s", error or type(error).__name__)
            await backoff.wait()

    async def goodbye(self, reason: str) -> None:
        """Say why the agent goes, after what was to be said before it."""
        if self._writer is None:
            return
        try:
            await self._flush(self._writer)
            self._writer.write(encode(Goodbye(reason=reason)))
            await self._writer.drain()
        except OSError:
            return

    async def _once(self, backoff: Backoff) -> None:
        token = await _token(self._settings.token_file)
        host, _, port = self._settings.sidecar_address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            frames = await self._greet(reader, writer, token)
            backoff.reset()
            _log.info("sidecar joined")
            await self._speak(writer, frames)
        finally:
            gone, self.connection = self.connection, object()
            self._writer = None
            self._outbox.clear()
            self._source.left(gone)
            writer.close()

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> "_Incoming":
        hello = Hello(
            version=VERSION, oldest_version=OLDEST_VERSION, token=token, **self._source.hello()
        )
        writer.write(encode(hello))
        incoming = _Incoming(reader)
        async with asyncio.timeout(_WELCOME_S):
            message = await incoming.next()
        if isinstance(message, Goodbye):
            raise ProtocolError(f"the sidecar refused: {message.reason}")
        if not isinstance(message, Welcome) or not OLDEST_VERSION <= message.version <= VERSION:
            raise ProtocolError("the sidecar did not answer with Welcome")
        self._version = message.version
        return incoming

    async def _speak(self, writer: asyncio.StreamWriter, incoming: "_Incoming") -> None:
        self._writer, self._told = writer, None
        self._source.joined()
        await first(self._listen(incoming), self._tell(writer))

    async def _listen(self, incoming: "_Incoming") -> None:
        while not isinstance(message := await incoming.next(), Goodbye):
            self._source.handle(message, self)
            await self._outbox.room()  # who takes no answers may ask no more
        _log.info("the sidecar leaves: %s", message.reason)

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._settings.heartbeat_s
        while True:
            self._wake.clear()
            await self._flush(writer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._wake.wait()
            # By the clock: prices that never rest must not keep the State from being told.
            if loop.time() >= due_s:
                self._told = None
                due_s = loop.time() + self._settings.heartbeat_s

    async def _flush(self, writer: asyncio.StreamWriter) -> None:
        # At each drain a sidecar that does not read stops us: snapshots are replaced meanwhile, not
        # queued, and a large answer goes a part at a time, after all that is small.
        part: Part | Answer | None = None
        while True:
            if part is not None:
                writer.write(encode(part))
            for message in self._outbox.small(self._version):
                writer.write(encode(message))
                await writer.drain()
            self._tell_news(writer)
            await writer.drain()
            part = self._outbox.part()
            if part is None:
                return

    def _tell_news(self, writer: asyncio.StreamWriter) -> None:
        state = self._source.state()
        if _meaning(state) != _meaning(self._told):
            self._told = state
            told = msgspec.structs.replace(state, polls=self._source.polls())
            writer.write(encode(told))
        for snapshot in self._source.take():
            writer.write(encode(snapshot))


class _Incoming:
    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader, self._frames = reader, Frames()
        self._bodies: deque[bytes] = deque()

    async def next(self) -> FromSidecar:
        while not self._bodies:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise ProtocolError("the sidecar closed the connection")
            self._bodies.extend(self._frames.feed(data))
        return decode_from_sidecar(self._bodies.popleft())


def _meaning(state: State | None) -> object:
    """Return `state` without what moves at every look."""
    if state is None:
        return None
    evidence = state.evidence
    return (
        *(state.state, state.reason, state.message, state.login, state.server, state.login_id),
        *(state.since_ms, state.versions, state.trade_allowed, state.utc_offset_s),
        *(evidence.logins, evidence.drops, evidence.worker_restarts, evidence.terminal_restarts),
        *(evidence.terminal_starts, evidence.logins_refused, evidence.authorised_then_lost),
        evidence.reasons,
    )


async def _token(path: Path) -> str:
    while not (token := _token_in(path)):  # noqa: ASYNC110
        await asyncio.sleep(_TOKEN_LOOK_S)  # a file has no event
    return token


def _token_in(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""  # the sidecar has not written it yet
