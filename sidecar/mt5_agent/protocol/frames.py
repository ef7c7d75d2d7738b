# SPDX-License-Identifier: Apache-2.0
"""Frames: a 4-byte little-endian length, then one msgpack message. Sans I/O: bytes in, messages
out."""

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from mt5_agent.protocol.messages import FromAgent, FromSidecar

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""Largest body that either side sends or accepts; larger results go in parts."""

MAX_SNAPSHOT_BYTES: Final = MAX_FRAME_BYTES - 1024
"""Largest `Snapshot.data`: some 40,000 positions. What is larger is named in `State.unshown`."""

SOCKET_NAME: Final = "agent.sock"
"""Beside the token, where the sidecar listens as well: nearer than its port. Not on Windows."""

READ_BYTES: Final = 64 * 1024
"""Asked for in one read, by either end and the worker: what a pipe holds. asyncio's own 256 KiB are
more than glibc takes from its heap: it would map them for each read and let them go again, which
takes twice as long as the rest of the read."""

_LENGTH: Final = struct.Struct("<I")
_ENCODER: Final = msgspec.msgpack.Encoder()
_FROM_AGENT: Final[msgspec.msgpack.Decoder[FromAgent]] = msgspec.msgpack.Decoder(FromAgent)
_FROM_SIDECAR: Final[msgspec.msgpack.Decoder[FromSidecar]] = msgspec.msgpack.Decoder(FromSidecar)


class ProtocolError(Exception):
    """The other end sent what no version of this protocol allows: close the connection."""


def encode(message: object, *, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """Return `message` as one frame, length included.

    Raises:
        ProtocolError: The message is larger than a frame may be.
    """
    frame = bytearray(_LENGTH.size)
    _ENCODER.encode_into(message, frame, _LENGTH.size)
    size_bytes = len(frame) - _LENGTH.size
    if size_bytes > max_bytes:
        raise ProtocolError(f"a message of {size_bytes} bytes does not fit a frame")
    _LENGTH.pack_into(frame, 0, size_bytes)
    return bytes(frame)


class Frames:
    """Cuts a byte stream into frame bodies: `for body in frames.feed(data)`.

    Feed it whatever `read()` gave. The iterator must be used up before the next feed.
    """

    def __init__(self, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        """Accept bodies of at most `max_bytes` (set it low before `Hello` is checked)."""
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yield each body that `data` completes.

        Raises:
            ProtocolError: A length is larger than `max_bytes`; nothing after it can be read.
        """
        self._buffer += data
        while (body := self._take()) is not None:
            yield body

    def _take(self) -> bytes | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (size_bytes,) = _LENGTH.unpack_from(self._buffer)
        if size_bytes > self.max_bytes:
            raise ProtocolError(f"a frame of {size_bytes} bytes was announced")
        end = _LENGTH.size + size_bytes
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return body


def decode_from_agent(body: bytes) -> FromAgent:
    """Return the agent's message in `body`.

    Raises:
        ProtocolError: `body` is no such message.
    """
    try:
        return _FROM_AGENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from error


def decode_from_sidecar(body: bytes) -> FromSidecar:
    """Return the sidecar's message in `body`.

    Raises:
        ProtocolError: `body` is no such message.
    """
    try:
        return _FROM_SIDECAR.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from error
