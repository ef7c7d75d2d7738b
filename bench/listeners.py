# SPDX-License-Identifier: Apache-2.0
"""Many WebSocket clients in one process, as cheap as Python allows: they note when a large message
was whole, and look at nothing else."""

import asyncio
import base64
import os
import socket
import time
from typing import Final, cast

LARGE_BYTES: Final = 2000  # a snapshot; welcomes, pings and heartbeats are smaller
# Source: RFC 6455 section 5.2.
_OPCODE: Final = 0x0F
_PING: Final = 0x09
_PONG: Final = 0x8A
_HTTP_END: Final = b"\r\n\r\n"


class Listener(asyncio.Protocol):
    """One client. Answers pings, and nothing else."""

    def __init__(self, request: bytes, *, large_bytes: int = LARGE_BYTES) -> None:
        self._request = request
        self._large_bytes = large_bytes
        self._rest = bytearray()
        self._open = False
        self.heard: list[float] = []
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # Typed as a bare transport; every loop gives one that writes.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it: a benchmark with fewer listeners than it says is none."""
        del exc
        self.lost = True

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into messages."""
        self._rest += data
        if not self._open:
            if _HTTP_END not in self._rest:
                return
            assert self._rest.startswith(b"HTTP/1.1 101"), bytes(self._rest[:200])
            del self._rest[: self._rest.index(_HTTP_END) + len(_HTTP_END)]
            self._open = True
        while (end := _frame_end(self._rest)) and len(self._rest) >= end:
            if self._rest[0] & _OPCODE == _PING:
                # Its payload is below 126 bytes; a mask of zeros leaves ours as it is.
                payload = bytes(self._rest[2:end])
                self.transport.write(bytes((_PONG, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
            del self._rest[:end]
            if end >= self._large_bytes:
                self.heard.append(time.perf_counter())

    @property
    def is_open(self) -> bool:
        """Tell whether the server accepted."""
        return self._open


def _frame_end(data: bytearray) -> int:
    # Source: RFC 6455 section 5.2; a server's frames carry no mask. 0: the length is not here yet.
    if len(data) < 2:
        return 0
    size = data[1]
    if size < 126:
        return 2 + size
    more = 2 if size == 126 else 8
    if len(data) < 2 + more:
        return 0
    return 2 + more + int.from_bytes(data[2 : 2 + more])


class Audience:
    """So many listeners of one server."""

    def __init__(
        self,
        port: int,
        path: str,
        headers: dict[str, str],
        *,
        host: str = "127.0.0.1",
        large_bytes: int = LARGE_BYTES,
    ) -> None:
        self._host = host
        self._large_bytes = large_bytes
        self._port = port
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        nonce = base64.b64encode(os.urandom(16)).decode()
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\n{told}\r\n"
        ).encode()
        self.listeners: list[Listener] = []

    async def join(self, count: int) -> None:
        """Add listeners until there are `count`, and wait until all were let in."""
        loop = asyncio.get_running_loop()
        while len(self.listeners) < count:
            _, listener = await loop.create_connection(
                lambda: Listener(self._request, large_bytes=self._large_bytes),
                self._host,
                self._port,
            )
            self.listeners.append(listener)
        async with asyncio.timeout(20):
            while not all(listener.is_open for listener in self.listeners):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # first snapshots

    async def stalled(self) -> socket.socket:
        """Return one more client, who reads nothing and whose machine soon takes nothing more."""
        loop = asyncio.get_running_loop()
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(0)
        await loop.sock_connect(made, (self._host, self._port))
        await loop.sock_sendall(made, self._request)
        assert (await loop.sock_recv(made, 12)).endswith(b"101"), "not let in"
        return made

    def leave(self) -> None:
        """Hang up."""
        for listener in self.listeners:
            listener.transport.close()

    @property
    def lost(self) -> int:
        """Return how many the server hung up on."""
        return sum(listener.lost for listener in self.listeners)

    def forget(self) -> None:
        """Begin to listen anew."""
        for listener in self.listeners:
            assert not listener.lost, "the server hung up on a listener"
            listener.heard.clear()

    async def all_heard(self, *, timeout_s: float = 10) -> list[float]:
        """Return when each heard the one message that comes now.

        Nobody sleeps until then: a client is on another machine, and it would be the server here
        that is billed for waking it, a third of what a `send` takes on a virtual machine.
        """
        async with asyncio.timeout(timeout_s):
            for listener in self.listeners:
                while not listener.heard:
                    await asyncio.sleep(0)
        return [listener.heard[0] for listener in self.listeners]
