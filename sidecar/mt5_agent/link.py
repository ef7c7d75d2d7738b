# SPDX-License-Identifier: Apache-2.0
"""The connection to the sidecar: made again for ever; what the terminal does meanwhile is not its
business."""

import asyncio
import contextlib
import logging
import sys
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from mt5_agent.backoff import Backoff
from mt5_agent.first import first
from mt5_agent.outbox import Outbox, is_large
from mt5_agent.protocol import (
    OLDEST_VERSION,
    SOCKET_NAME,
    VERSION,
    Answer,
    FromSidecar,
    Goodbye,
    Hello,
    Part,
    ProtocolError,
    Snapshot,
    State,
    Welcome,
)
from mt5_agent.settings import Settings
from mt5_agent.wire import Wire

_TOKEN_LOOK_S: Final = 0.2
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
        self._wire: Wire | None = None
        self._told: State | None = None
        self.connection = object()
        """Names the present connection: an answer must never reach the sidecar of another."""

    def wake(self) -> None:
        """Say that there is something to send."""
        self._wake.set()

    def send(self, answer: Answer, connection: object) -> None:
        """Send `answer` if `connection` is still the present one."""
        if connection is not self.connection:
            return
        wire = self._wire
        if wire is not None and wire.writable and self._outbox.is_empty and not is_large(answer):
            wire.write(answer)  # at once: lined up, it would wait a turn of the loop
            return
        self._outbox.put(answer)
        self._wake.set()

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        backoff = Backoff(first_s=0.1, most_s=self._settings.sidecar_backoff_max_s)
        while True:
            try:
                await self._once(backoff)
            except (OSError, ProtocolError, TimeoutError) as error:
                _log.info("no sidecar: %s", error or type(error).__name__)
            await backoff.wait()

    async def goodbye(self, reason: str) -> None:
        """Say why the agent goes, after what was to be said before it."""
        if self._wire is None:
            return
        try:
            await self._flush(self._wire)
            self._wire.write(Goodbye(reason=reason))
            await self._wire.drained()
        except OSError:
            return

    async def _once(self, backoff: Backoff) -> None:
        token = await _token(self._settings.token_file)
        wire = Wire(room=lambda: not self._outbox.is_full)
        way = await self._connect(wire)
        try:
            await self._greet(wire, token)
            backoff.reset()
            _log.info("sidecar joined by %s", way)
            await self._speak(wire)
        finally:
            gone, self.connection = self.connection, object()
            self._wire = None
            self._outbox.clear()
            self._source.left(gone)
            wire.close()

    async def _connect(self, wire: Wire) -> str:
        """Connect by the nearest way that there is, and return its name."""
        loop, settings = asyncio.get_running_loop(), self._settings
        if sys.platform != "win32":
            # Absent, or nobody listens any more: a sidecar of before, or one that could not.
            with contextlib.suppress(OSError):
                path = settings.token_file.with_name(SOCKET_NAME)
                await loop.create_unix_connection(lambda: wire, str(path))
                return "socket"
        host, _, port = settings.sidecar_address.rpartition(":")
        await loop.create_connection(lambda: wire, host, int(port))
        return "port"

    async def _greet(self, wire: Wire, token: str) -> None:
        hello = Hello(
            version=VERSION, oldest_version=OLDEST_VERSION, token=token, **self._source.hello()
        )
        wire.write(hello)
        async with asyncio.timeout(self._settings.welcome_timeout_s):
            message = await wire.first()
        if isinstance(message, Goodbye):
            raise ProtocolError(f"the sidecar refused: {message.reason}")
        if not isinstance(message, Welcome) or not OLDEST_VERSION <= message.version <= VERSION:
            raise ProtocolError("the sidecar did not answer with Welcome")
        self._version = message.version

    async def _speak(self, wire: Wire) -> None:
        self._wire, self._told = wire, None
        self._source.joined()
        wire.listen(self._hear)
        await first(wire.ended(), self._tell(wire))

    def _hear(self, message: FromSidecar) -> None:
        if isinstance(message, Goodbye):
            _log.info("the sidecar leaves: %s", message.reason)
            if self._wire is not None:
                self._wire.leave()
        else:
            self._source.handle(message, self)

    async def _tell(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._settings.heartbeat_s
        # First the State: by what it says of the broker's clock the sidecar reads the rest.
        self._tell_state(wire)
        while True:
            self._wake.clear()
            await self._flush(wire)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._wake.wait()
            # By the clock: prices that never rest must not keep the State from being told.
            if loop.time() >= due_s:
                self._told = None
                due_s = loop.time() + self._settings.heartbeat_s

    async def _flush(self, wire: Wire) -> None:
        # At each drain a sidecar that does not read stops us: snapshots are replaced meanwhile, not
        # queued, and a large answer goes a part at a time, after all that is small.
        part: Part | Answer | None = None
        while True:
            if part is not None:
                wire.write(part)
            for message in self._outbox.small(self._version):
                wire.write(message)
                await wire.drained()
            self._tell_news(wire)
            await wire.drained()
            part = self._outbox.part()
            wire.read_on()  # who takes no answers may ask no more
            if part is None:
                return

    def _tell_news(self, wire: Wire) -> None:
        # Before the State: one that says `Connected` calls current what was seen until then.
        for snapshot in self._source.take():
            wire.write(snapshot)
        self._tell_state(wire)

    def _tell_state(self, wire: Wire) -> None:
        state = self._source.state()
        if _meaning(state) != _meaning(self._told):
            self._told = state
            told = msgspec.structs.replace(state, polls=self._source.polls())
            wire.write(told)


def _meaning(state: State | None) -> object:
    """Return `state` without what moves at every look."""
    if state is None:
        return None
    evidence = state.evidence
    return (
        *(state.state, state.reason, state.message, state.login, state.server, state.login_id),
        *(state.since_ms, state.versions, state.trade_allowed),
        *(state.utc_offset_s, state.utc_offset_sure),
        *(state.trade_message, state.selftest, state.unshown),
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
    except (FileNotFoundError, UnicodeDecodeError):
        return ""  # the sidecar has not written it yet, or somebody else did
