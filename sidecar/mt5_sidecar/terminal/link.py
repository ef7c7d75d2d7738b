# SPDX-License-Identifier: Apache-2.0
"""The doors for agents, a port of loopback and a socket in the shared volume: one agent at a time,
and the newest is the one that counts."""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Final, Protocol

from mt5_agent import protocol
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.files import write_private
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.session import Session
from mt5_sidecar.terminal.wire import Wire

# The agent is in the same pod; nobody else has business here.
LOOPBACK: Final = "127.0.0.1"


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
        self._servers: list[asyncio.Server] = []
        self._current: Session | None = None
        self._sessions: set[Session] = set()

    @property
    def port(self) -> int:
        """The port that agents connect to."""
        if not self._servers:
            raise RuntimeError("not listening")
        return int(self._servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen, then publish the token: an agent that has it always finds us."""
        loop = asyncio.get_running_loop()
        port = self._settings.agent_port
        self._servers = [await loop.create_server(self._accept, LOOPBACK, port)]
        await self._listen_nearer(loop)
        publish_token(self._settings.agent_token_file, self._token)

    async def stop(self) -> None:
        """Send the agent away and stop listening."""
        for server in self._servers:
            server.close()
        for session in tuple(self._sessions):
            session.close("the sidecar stops")
            self._forget(session)
        await asyncio.sleep(0)  # asyncio ends connections in a turn of their own

    # What the sessions tell us (terminal.session.Host).

    def greeted(self, session: Session) -> None:
        """Let the newest agent take the place of any other."""
        before, self._current = self._current, session
        if before is not None:
            before.close("another agent has connected")
            self._sessions.discard(before)
        self._listener.arrived(session)

    def said(self, message: protocol.FromAgent) -> None:
        """Pass it on; who was replaced is closed, and heard no more."""
        self._listener.said(message)

    def ended(self, session: Session, error: Exception | None) -> None:
        """Log why, if it was no plain end."""
        why = "" if error is None else str(error) or type(error).__name__
        if why:
            logger.warning("agent_connection_ended", why=why)
        session.close(why or "ended")
        self._forget(session)

    async def _listen_nearer(self, loop: asyncio.AbstractEventLoop) -> None:
        # A call through it is 15 us sooner than through the port (adr/090), which remains for
        # Windows, and for agents that know nothing else.
        if sys.platform == "win32":
            return
        path = self._settings.agent_token_file.with_name(protocol.SOCKET_NAME)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._servers.append(await loop.create_unix_server(self._accept, str(path)))
        except OSError as error:
            logger.warning("no_socket_for_the_agent", path=str(path), why=str(error))

    def _accept(self) -> Wire:
        session = Session(self, self._token, self._settings)
        self._sessions.add(session)
        return session.wire

    def _forget(self, session: Session) -> None:
        self._sessions.discard(session)
        if self._current is session:
            self._current = None
            self._listener.left()


def publish_token(path: Path, token: Secret) -> None:
    """Write the token where the terminal container, same user, reads it."""
    write_private(path, token.reveal())
