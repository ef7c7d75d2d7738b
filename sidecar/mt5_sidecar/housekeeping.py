# SPDX-License-Identifier: Apache-2.0
"""What is looked at every second: files, grants, slow clients, staleness, heartbeats."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from mt5_sidecar.api.context import Context
from mt5_sidecar.api.reads.status import stream_health
from mt5_sidecar.api.ws.dialogue import say
from mt5_sidecar.api.ws.said import Beat
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.logs import logger
from mt5_sidecar.reloading import Reloading


class Housekeeping:
    """A loop around `look`; tests call `look` themselves and wait for nothing."""

    def __init__(
        self,
        context: Context,
        reloading: Reloading | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._context = context
        self.reloading = reloading
        self._sleep = sleep
        self._heartbeat_s = time.monotonic()

    async def run(self) -> None:
        """Look again and again until cancelled; no fault of one look ends the next."""
        while True:
            try:
                self.look()
            except Exception:  # noqa: BLE001  a dead housekeeper would let withdrawn keys live on
                logger.exception("housekeeping_failed")
            await self._sleep(self._context.settings.file_poll_interval_s)

    async def stop(self) -> None:
        """Leave nothing half done."""
        if self.reloading is not None:
            await self.reloading.stop()

    def look(self) -> None:
        """Look at everything once."""
        context = self._context
        context.pulse.at_s = time.monotonic()
        if self.reloading is not None:
            self.reloading.look()
        context.access.refresh()
        context.metrics.files.access_unreadable.set(context.access.unreadable)
        context.metrics.files.issuer_unread.set(context.access.issuer_unread)
        context.sockets.close_ended(context.access)
        context.terminal.refresh()
        context.evidence.look()
        context.feed.review()
        context.feed.hub.sweep()
        if context.pulse.at_s - self._heartbeat_s >= context.settings.ws_heartbeat_interval_s:
            self._heartbeat_s = context.pulse.at_s
            self._heartbeat()

    def _heartbeat(self) -> None:
        # Each client's own point: the board's may be ahead of what this one was sent, and a
        # client that resumed there would miss what lies between, unannounced.
        context = self._context
        for socket in context.sockets:
            if socket.client.stalled_s is None:
                say(context, socket, "heartbeat", encode(Beat(socket.client.seq)))
                if socket.tells_health:
                    say(context, socket, "health", encode(stream_health(context)))
