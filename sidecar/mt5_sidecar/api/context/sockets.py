# SPDX-License-Identifier: Apache-2.0
"""The open WebSockets: how many, whose, and the end of those whose grant ended."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass

from mt5_sidecar.api.context.wire import SocketWire
from mt5_sidecar.api.limits.bucket import Bucket
from mt5_sidecar.auth.access import Access
from mt5_sidecar.auth.principal import Principal, Scope
from mt5_sidecar.errors import Forbidden, Unauthenticated
from mt5_sidecar.logs import logger
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.codes import Close


@dataclass(eq=False, slots=True)
class Socket:
    """An open WebSocket and its caller."""

    client: Client
    wire: SocketWire
    principal: Principal
    scope: Scope
    bucket: Bucket
    tells_health: bool = False
    named: frozenset[str] = frozenset()
    """Symbols that a client who hears all has watched as well."""
    works: int = 0
    """Answers that the terminal is still to give."""
    choosing: asyncio.Task[None] | None = None
    """The last change of what it hears that waits for the terminal: later ones come after it."""


class Sockets:
    """All open WebSockets of this pod."""

    def __init__(self) -> None:
        self._open: set[Socket] = set()
        self.taken: Counter[str] = Counter()
        """Places by subject, those of sockets that are being opened with them: the limit holds in a
        rush."""
        self.draining = False
        self._work: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, socket: Socket) -> bool:
        return socket in self._open

    def __iter__(self) -> Iterator[Socket]:
        return iter(tuple(self._open))

    def add(self, socket: Socket) -> None:
        """Count `socket` in."""
        self._open.add(socket)
        self._empty.clear()

    def remove(self, socket: Socket) -> None:
        """Count `socket` out."""
        self._open.discard(socket)
        if not self._open:
            self._empty.set()

    def start(self, socket: Socket, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do `work` for `socket` while it goes on listening; it outlives the socket."""
        socket.works += 1
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(lambda done: self._done(socket, done))
        return task

    async def finished(self) -> None:
        """Return once no work runs."""
        await asyncio.gather(*self._work, return_exceptions=True)

    def _done(self, socket: Socket, task: asyncio.Task[None]) -> None:
        socket.works -= 1
        self._work.discard(task)

    async def emptied(self) -> None:
        """Return once none is open."""
        await self._empty.wait()

    def close_ended(self, access: Access) -> None:
        """Close the sockets whose key was withdrawn, has expired or lost its grant."""
        for socket in self:
            try:
                socket.principal = access.renew(socket.principal, socket.scope)
            except Unauthenticated as error:
                _close(socket, Close.UNAUTHENTICATED, error.detail)
            except Forbidden as error:
                _close(socket, Close.FORBIDDEN, error.detail)


def _close(socket: Socket, code: Close, why: str) -> None:
    logger.info("ws_grant_ended", subject=socket.principal.subject, code=int(code))
    socket.client.close(code, why)
