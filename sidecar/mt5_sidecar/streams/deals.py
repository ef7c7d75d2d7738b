# SPDX-License-Identifier: Apache-2.0
"""Deals as events: found in the terminal's history whenever the account moved.

What the agent's poll shows (positions, orders, balance) says when to look, and history may lag
behind what it tells, so each move is looked at three times. A glance whenever the agent says how it
is (every 5 s) finds what moved nothing: what was bought and sold again between two polls.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mt5_agent import protocol
from mt5_sidecar.errors import BridgeError
from mt5_sidecar.logs import logger
from mt5_sidecar.streams.channels import Channel
from mt5_sidecar.terminal.terminal import Terminal

# Waits for the further looks at a move: history follows an execution within seconds. No knob: what
# comes later is found at the next glance.
FURTHER_S: Final = (0.0, 2.5)
# A terminal that has just begun may load old deals for a while; those are no news. No
# knob: with more, old deals would be told as new ones.
SLACK_S: Final = 10
DAY_S: Final = 86_400


class DealWatch:
    """Which deals are known, and how others are found; `tell` gets each once."""

    def __init__(
        self,
        terminal: Terminal,
        *,
        interval_s: float,
        overlap_s: int,
        tell: Callable[[protocol.Deal], None],
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Rest `interval_s` between two looks, however much moves: trades wait behind them. Read
        history from `overlap_s` before the newest deal, for what arrives out of order."""
        self._terminal = terminal
        self._interval_s, self._overlap_s = interval_s, overlap_s
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._monotonic = monotonic
        self._began_s = monotonic()
        self._clocks_start_s = clock() // 1000
        self._known: dict[int, int] | None = None
        """Times by ticket; None before the first look."""
        self._shapes: dict[Channel, Any] = {}
        self._moved = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def seen(self, channel: Channel, records: Any) -> None:
        """Look for deals if this part of the account moved; prices alone move nothing."""
        shape = _SHAPES[channel](records) if channel in _SHAPES else None
        if shape != self._shapes.get(channel):
            self._shapes[channel] = shape
            self.look()

    def look(self) -> None:
        """Look for deals now and a little later."""
        self._moved.set()
        self.glance()

    def glance(self) -> None:
        """Look once, if nobody looks: also for what a look that failed has missed."""
        if self._looking is None and self._terminal.connection.connected:
            self._looking = asyncio.create_task(self._looks())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _looks(self) -> None:
        try:
            moved = True
            while moved:
                further_s = FURTHER_S if self._moved.is_set() else ()
                self._moved.clear()
                await self._look_and_rest()
                for wait_s in further_s:
                    await self._until_moved(wait_s)
                    await self._look_and_rest()
                moved = self._moved.is_set()
        except (BridgeError, protocol.ProtocolError) as error:
            # The next move or glance looks again: news is late, not lost.
            logger.warning("deals_not_read", why=str(error))
        finally:
            self._looking = None

    async def _until_moved(self, at_most_s: float) -> None:
        ends: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._sleep(at_most_s)),
            asyncio.ensure_future(self._moved.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def _look_and_rest(self) -> None:
        await self._once()
        await self._sleep(self._interval_s)

    async def _once(self) -> None:
        zone_s = self._terminal.connection.utc_offset_s
        to_s = self._clock() // 1000 + (zone_s or 0) + DAY_S
        from_s = self._from_s(zone_s)
        deals = await self._terminal.call("history_deals_get", from_s, to_s)
        first, known = self._known is None, self._known or {}
        news = [deal for deal in deals if deal.ticket not in known]
        floor_ms = self._floor_ms(zone_s, slack_s=0 if first else SLACK_S)
        # A terminal that has begun anew shows less for a while: what was told stays told, for as
        # long as a look may show it.
        seen = known | {deal.ticket: deal.time_msc for deal in deals}
        self._known = {ticket: ms for ticket, ms in seen.items() if ms >= from_s * 1000}
        for deal in sorted(news, key=lambda d: (d.time_msc, d.ticket)):
            if floor_ms is not None and deal.time_msc >= floor_ms:
                self._tell(deal)

    def _from_s(self, zone_s: int | None) -> int:
        if self._known:
            return max(self._known.values()) // 1000 - self._overlap_s
        return self._started_s() + (zone_s or 0) - DAY_S

    def _floor_ms(self, zone_s: int | None, *, slack_s: int) -> int | None:
        """Return what a deal must not be older than to be news; None: none is."""
        if zone_s is not None:
            # Of the first look, too: a stream may have waited longer for the terminal than we.
            return (self._started_s() + zone_s - slack_s) * 1000
        return None if self._known is None else max(self._known.values(), default=0)

    def _started_s(self) -> int:
        # By the clock of now: one that was ahead at our start would hide deals until it is reached.
        ago_s = int(self._monotonic() - self._began_s)
        return min(self._clocks_start_s, self._clock() // 1000 - ago_s)


_SHAPES: Final[dict[Channel, Callable[[Any], Any]]] = {
    "account_info": lambda a: (a.balance, a.credit),
    "positions": lambda all_: {(p.ticket, p.volume) for p in all_},
    "orders": lambda all_: {(o.ticket, o.state, o.volume_current) for o in all_},
}
