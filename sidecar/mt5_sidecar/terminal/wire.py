# SPDX-License-Identifier: Apache-2.0
"""One agent's connection: its bytes as messages, ours as bytes; who it is, is not known here.

An `asyncio.Protocol`, not a stream: a snapshot is on its way to the clients, and an answer on its
way to who waits for it, in the same turn of the loop in which they came. Nothing waits in here to
be read, so it is the socket that holds back an agent that is faster than we are.
"""

import asyncio
from typing import Protocol, cast

from mt5_agent import protocol
from mt5_sidecar.terminal.handshake import Unwelcome


class Hearer(Protocol):
    """Whose connection it is. Must return at once."""

    def heard(self, message: protocol.FromAgent) -> None:
        """The other end said this.

        Raises:
            Unwelcome, protocol.ProtocolError: it may not; the connection ends.
        """

    def ended(self, error: Exception | None) -> None:
        """The connection is over, and not because we closed it: called once at most."""


class Wire(asyncio.Protocol):
    """Hands each message to its hearer in order, until either side ends it; then none."""

    def __init__(
        self,
        hearer: Hearer,
        *,
        max_bytes: int,
        within_s: float,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take small messages only, and for so long only, until `trust`."""
        self._hearer = hearer
        self._loop = loop or asyncio.get_running_loop()
        self._frames = protocol.Frames(max_bytes=max_bytes)
        self._transport: asyncio.Transport | None = None
        self._patience_s = within_s
        self._trusted = False
        self._heard_s = self._loop.time()
        self._timer = self._loop.call_later(within_s, self._look)
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._over = False

    def trust(self, *, max_bytes: int, silence_s: float) -> None:
        """Take larger messages for as long as the other end is never silent for `silence_s`."""
        self._frames.max_bytes = max_bytes
        self._trusted, self._patience_s = True, silence_s
        self._heard_s = self._loop.time()
        self._watch(silence_s)

    @property
    def is_open(self) -> bool:
        """Tell whether what is written may still arrive."""
        return not self._over and self._transport is not None and not self._transport.is_closing()

    async def writable(self) -> None:
        """Wait until the other end has taken enough, or is gone."""
        while not self._may_write.is_set():
            await self._may_write.wait()

    def write(self, message: protocol.FromSidecar) -> None:
        """Put `message` on the wire without waiting."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(protocol.encode(message))

    def close(self, reason: str) -> None:
        """Say goodbye and hang up; nothing more is heard."""
        self._stop()
        self.write(protocol.Goodbye(reason=reason))
        if self._transport is not None:
            self._transport.close()

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # Typed as a bare one; every loop gives one that writes (uvloop's has no asyncio base).
        self._transport = cast("asyncio.Transport", transport)
        if self._over:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if self._over:
            return
        if self._trusted:
            self._heard_s = self._loop.time()
        try:
            for body in self._frames.feed(data):
                self._hearer.heard(protocol.decode_from_agent(body))
                if self._over:
                    return
        except (Unwelcome, protocol.ProtocolError) as error:
            self._end(error)

    def eof_received(self) -> None:
        """Hang up, too."""
        self._end(None)

    def pause_writing(self) -> None:
        """The other end does not read."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end(exc)

    def _watch(self, wait_s: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(wait_s, self._look)

    def _look(self) -> None:
        # One timer that is looked at again, not one for each message.
        rest_s = self._heard_s + self._patience_s - self._loop.time()
        if rest_s > 0:
            self._watch(rest_s)
        else:
            self._end(TimeoutError(f"nothing was heard for {self._patience_s:g} s"))

    def _end(self, error: Exception | None) -> None:
        if not self._over:
            self._stop()
            self._hearer.ended(error)

    def _stop(self) -> None:
        self._over = True
        self._timer.cancel()
        self._may_write.set()  # who waits to write learns of the end
