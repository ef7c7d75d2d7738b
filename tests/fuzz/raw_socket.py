# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client without manners: it writes whatever bytes a test likes."""

import asyncio
import base64
import contextlib
import os
import struct
from typing import Final

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
# uvloop's word for a connection that is gone is RuntimeError.
GONE: Final = (OSError, RuntimeError)
READ_BYTES: Final = 65_536


def frame(
    payload: bytes,
    *,
    opcode: int = TEXT,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Return a client's frame; `length` is what it says of itself, true unless given."""
    said = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = masked << 7
    if said < 126:
        head += bytes([bit | said])
    elif said < 1 << 16:
        head += struct.pack("!BH", bit | 126, said)
    else:
        head += struct.pack("!BQ", bit | 127, said)
    if not masked:
        return head + payload
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(payload))


class RawSocket:
    """One connection, its upgrade done properly."""

    def __init__(self, port: int, key: str, path: str = "/ws") -> None:
        self._port, self._key, self._path = port, key, path
        self._buffer = b""

    async def __aenter__(self) -> "RawSocket":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {self._path} HTTP/1.1",
            "Host: test",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {nonce}",
            f"X-API-Key: {self._key}",
        )
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head, head
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def write(self, data: bytes) -> None:
        """Send bytes; that the other end is gone already is no fault of this one."""
        with contextlib.suppress(*GONE):
            self._writer.write(data)
            await self._writer.drain()

    def ends(self) -> None:
        """Send no more, and go on reading."""
        with contextlib.suppress(*GONE):
            self._writer.write_eof()

    async def frames(self) -> list[tuple[int, bytes]]:
        """Return opcode and payload of every frame, until the connection ends."""
        data = b""
        with contextlib.suppress(*GONE):
            while part := await self._reader.read(READ_BYTES):
                data += part
        return cut(data)

    async def close_code(self) -> int | None:
        """Return the code with which the other end closes, None where it ends without one."""
        for opcode, payload in await self.frames():
            if opcode == CLOSE:
                return int.from_bytes(payload[:2]) if payload else 1005
        return None


def cut(data: bytes) -> list[tuple[int, bytes]]:
    """Return a server's frames: unmasked, and whole but perhaps for the last."""
    frames, at = [], 0
    while at + 2 <= len(data):
        opcode, size = data[at] & 15, data[at + 1] & 127
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + width]), at + width
        frames.append((opcode, data[at : at + size]))
        at += size
    return frames
