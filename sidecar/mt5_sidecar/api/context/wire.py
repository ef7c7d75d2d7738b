# SPDX-License-Identifier: Apache-2.0
"""An aiohttp WebSocket as the hub sees it: frames go out without anybody waiting.

Whole frames are written to the transport directly. That is sound because the sockets carry no
compression, so a frame depends on nothing that was sent before, and because aiohttp writes its
own frames (pong, close) whole as well. It saves building each frame again for every client.
"""

import asyncio
import contextlib

from aiohttp import web

from mt5_sidecar.metrics.streams import StreamMetrics
from mt5_sidecar.streams.codes import Close
from mt5_sidecar.streams.frame import close_frame


class SocketWire:
    """One client's socket (streams.Wire)."""

    __slots__ = ("_closing", "_grace_s", "_metrics", "_transport", "_ws")

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.WriteTransport,
        metrics: StreamMetrics,
        *,
        grace_s: float,
    ) -> None:
        self._ws = ws
        self._transport = transport
        self._metrics = metrics
        self._grace_s = grace_s
        self._closing: asyncio.Task[None] | None = None

    def send(self, frame: bytes) -> None:
        """Hand a frame to the transport, which keeps what the network does not take yet."""
        if not self._ws.closed and not self._transport.is_closing():
            self._transport.write(frame)

    def pending_bytes(self) -> int:
        """Return what the transport keeps."""
        return self._transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """Say why, give the client the grace to hear it, then cut the connection."""
        if self._closing is None:
            self._metrics.closed.labels(str(int(code))).inc()
            end = self._hang_up if code == Close.TOO_MANY_MESSAGES else self._end
            self._closing = asyncio.create_task(end(code, reason))

    async def ended(self) -> None:
        """Return once a close that we began is over."""
        if self._closing is not None:
            await self._closing

    async def _hang_up(self, code: int, reason: str) -> None:
        # Not aiohttp's close: to hear the client's it reads on, and a flood would be read for all
        # of the grace.
        self.send(close_frame(code, reason))
        self._transport.close()
        asyncio.get_running_loop().call_later(self._grace_s, self._transport.abort)

    async def _end(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(self._grace_s):
                await self._ws.close(code=code, message=reason.encode(), drain=False)
        # What is not read within another grace never will be: the memory is worth more.
        asyncio.get_running_loop().call_later(self._grace_s, self._transport.abort)
