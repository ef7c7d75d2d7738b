# SPDX-License-Identifier: Apache-2.0
"""One connection to a sidecar: its bytes as messages, with back-pressure both ways.

An asyncio protocol, not a stream: a request is on its way to the worker, and an answer on its way
out, in the same turn of the loop in which they came. One with a buffer of its own, because asyncio
would make one for each read.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from mt5_agent.protocol import (
    READ_BYTES,
    Frames,
    FromSidecar,
    ProtocolError,
    decode_from_sidecar,
    encode,
)


class Wire(asyncio.BufferedProtocol):
    """Reads on while there is `room`; says whether it may be written to."""

    def __init__(self, *, room: Callable[[], bool]) -> None:
        """Hold messages back, unread, while `room` says no; `read_on` looks again."""
        self._room = room
        self._frames = Frames()
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._bodies: deque[bytes] = deque()
        self._hear: Callable[[FromSidecar], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._arrived = asyncio.Event()
        self._may_write = asyncio.Event()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def first(self) -> FromSidecar:
        """Return the first message.

        Raises:
            ProtocolError: It is none, or the connection ended.
        """
        await self._arrived.wait()
        if not self._bodies:
            await self._end
        return decode_from_sidecar(self._bodies.popleft())

    def listen(self, hear: Callable[[FromSidecar], None]) -> None:
        """Hand every message to `hear` from now on."""
        self._hear = hear
        self.read_on()

    def read_on(self) -> None:
        """Hand over what is held back, as far as there is room for its answers."""
        while self._hear is not None and self._bodies and self._room() and not self._end.done():
            try:
                message = decode_from_sidecar(self._bodies.popleft())
            except ProtocolError as error:
                self._break(error)
                return
            self._hear(message)
        if self._transport is None or self._transport.is_closing():
            return
        if self._bodies:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @property
    def writable(self) -> bool:
        """Tell whether the other end takes what is written."""
        return self._may_write.is_set() and not self._end.done()

    def write(self, message: object) -> None:
        """Put `message` on the wire without waiting."""
        if self._transport is not None:
            self._transport.write(encode(message))

    async def drained(self) -> None:
        """Wait until the other end has taken enough.

        Raises:
            OSError: It is gone.
        """
        await self._may_write.wait()
        if self._end.done():
            raise ConnectionResetError("the sidecar is gone")

    async def ended(self) -> None:
        """Wait for the connection's end.

        Raises:
            ProtocolError, OSError: It was not a goodbye.
        """
        await asyncio.shield(self._end)

    def leave(self) -> None:
        """Take the connection for ended: the other end said goodbye."""
        if not self._end.done():
            self._end.set_result(None)

    def close(self) -> None:
        """Hang up."""
        self.leave()
        if self._transport is not None:
            self._transport.close()

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  asyncio's promise
        self._transport = transport
        self._may_write.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where bytes go."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes in."""
        try:
            self._bodies.extend(self._frames.feed(self._buffer[:nbytes]))
        except ProtocolError as error:
            self._break(error)
            return
        if self._bodies:
            self._arrived.set()
        if self._hear is not None:
            self.read_on()

    def pause_writing(self) -> None:
        """The other end does not read."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._break(exc or ProtocolError("the sidecar closed the connection"))

    def _break(self, error: Exception) -> None:
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # nobody may wait for it any more
        self._may_write.set()  # who waits to write learns of the end
        self._arrived.set()
