# SPDX-License-Identifier: Apache-2.0
"""The loopback door for agents: one at a time, and the newest is the one that counts."""

import asyncio
import contextlib
import secrets
from pathlib import Path
from typing import Final, Protocol

from mt5_agent import protocol
from mt5_sidecar import __version__
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.files import write_private
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.handshake import Unwelcome
from mt5_sidecar.terminal.session import Session

# The agent is in the same pod; nobody else has business here.
LOOPBACK: Final = "127.0.0.1"

ENDINGS: Final = (Unwelcome, protocol.ProtocolError, TimeoutError, OSError)


class Listener(Protocol):
    """Who is told what the agent does."""

    def arrived(self, session: Session) -> None:
        """An agent has proved itself; requests go to `session` from now on."""

    def said(self, message: protocol.FromAgent) -> None:
        """The agent said this of its own accord."""

    def left(self) -> None:
        """The agent is gone, and no other has taken its place."""


class Link:
    """Listens for agents and reads the one that is connected."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._token = Secret(secrets.token_urlsafe(32))
        self._server: asyncio.Server | None = None
        self._current: Session | None = None
        self._readers: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that agents connect to."""
        if self._server is None:
            raise RuntimeError("not listening")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen, then publish the token: an agent that has it always finds us."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self._settings.agent_port)
        publish_token(self._settings.agent_token_file, self._token)

    async def stop(self) -> None:
        """Send the agent away and stop listening."""
        if self._server is not None:
            self._server.close()
        for reader in tuple(self._readers):
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  we are in one
        self._readers.add(task)
        limit = self._settings.agent_requests_in_flight
        session = Session(reader, writer, max_in_flight=limit)
        try:
            await self._serve(session)
        except ENDINGS as error:
            logger.warning("agent_connection_ended", why=str(error) or type(error).__name__)
            session.close(str(error))
        except asyncio.CancelledError:
            session.close("the sidecar stops")
        finally:
            self._readers.discard(task)
            self._ended(session)

    async def _serve(self, session: Session) -> None:
        timeout_s = self._settings.agent_hello_timeout_s
        await session.greet(self._token, sidecar_version=__version__, timeout_s=timeout_s)
        self._replace(session)
        silence_s = self._settings.agent_silence_timeout_s
        async with contextlib.aclosing(session.messages(silence_s=silence_s)) as messages:
            async for message in messages:
                if self._current is not session:
                    return
                self._listener.said(message)

    def _replace(self, session: Session) -> None:
        before, self._current = self._current, session
        if before is not None:
            before.close("another agent has connected")
        self._listener.arrived(session)

    def _ended(self, session: Session) -> None:
        session.close("ended")
        if self._current is session:
            self._current = None
            self._listener.left()


def publish_token(path: Path, token: Secret) -> None:
    """Write the token where the terminal container, same user, reads it."""
    write_private(path, token.reveal())
