# SPDX-License-Identifier: Apache-2.0
"""Hands what is new to all who listen; waits for nobody.

Clients are grouped by interval. A change flushes the groups whose interval is over and sets a
timer for the others; so 500 clients cost one timer and one encoding, not 500.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.metrics.streams import StreamMetrics
from mt5_sidecar.settings import Settings
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.codes import Close
from mt5_sidecar.streams.flush import Flush
from mt5_sidecar.streams.places import Places

# A delivery takes some 17 us, the kernel's part with it: so a turn holds the loop for about 2 ms,
# and a request or an order does not wait for 500 listeners.
AT_ONCE: Final = 128


class Group:
    """Clients of one interval."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.last_s = float("-inf")
        self.timer: asyncio.TimerHandle | None = None


class Hub:
    """All listeners of one board."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        metrics: StreamMetrics,
        *,
        status: Callable[[], bytes],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._board = board
        self._metrics = metrics
        self._status = status
        self._clock = clock
        self._groups: dict[int, Group] = {}
        self.places = Places(board.epoch)

    @property
    def clients(self) -> list[Client]:
        """Everybody who listens."""
        return [client for group in self._groups.values() for client in group.clients]

    def join(self, client: Client) -> None:
        """Let `client` hear of what changes from now on, and bring it up to date at once."""
        self._groups.setdefault(client.interval_ms, Group()).clients.add(client)
        self._flush([client])

    def leave(self, client: Client) -> None:
        """Forget `client`, but not where it was."""
        self.places.leave(client.place)
        self._drop(client)

    def _drop(self, client: Client) -> None:
        group = self._groups.get(client.interval_ms)
        if group is None:
            return
        group.clients.discard(client)
        if not group.clients:
            del self._groups[client.interval_ms]
            _cancel(group)

    def regroup(self, client: Client, *, interval_ms: int) -> None:
        """Give `client` another interval."""
        self._drop(client)
        client.interval_ms = interval_ms
        self._groups.setdefault(interval_ms, Group()).clients.add(client)

    def bring_up_to_date(self, client: Client) -> None:
        """Flush one client now, whatever its interval."""
        self._flush([client])

    def changed(self, *, urgent: bool = False) -> None:
        """Tell everybody whose interval is over; `urgent` (an event) does not wait for it."""
        now_s = asyncio.get_running_loop().time()
        due = []
        for interval_ms, group in self._groups.items():
            wait_s = group.last_s + interval_ms / 1000 - now_s
            if urgent or wait_s <= 0:
                due.append(group)
            elif group.timer is None:
                group.timer = asyncio.get_running_loop().call_later(wait_s, self._due, group)
        self._flush_groups(due, now_s=now_s)

    def sweep(self) -> None:
        """Look after clients that do not keep up; to be called every second or so."""
        self._flush([client for client in self.clients if client.stalled_s is not None])

    def _due(self, group: Group) -> None:
        group.timer = None
        self._flush_groups([group], now_s=asyncio.get_running_loop().time())

    def _flush_groups(self, groups: list[Group], *, now_s: float) -> None:
        for group in groups:
            _cancel(group)
            group.last_s = now_s
        self._flush([client for group in groups for client in group.clients])

    def _flush(self, clients: list[Client]) -> None:
        """Bring `clients` up to date, so many in a turn of the loop: who is later gets what is true
        then."""
        if not clients:
            return
        clients, others = clients[:AT_ONCE], clients[AT_ONCE:]
        if others:
            asyncio.get_running_loop().call_soon(self._flush, others)
        began_s = time.perf_counter()
        flush = Flush(self._board, status=self._status, now_ms=self._clock())
        sent: defaultdict[str, int] = defaultdict(int)
        most_bytes, floor = self._settings.ws_write_buffer_bytes, self._board.floor
        seq = self._board.seq
        for client in clients:  # the one loop over all of them: what is rare has its own functions
            if client.closed:
                continue
            wire = client.wire
            if wire.pending_bytes() > most_bytes:
                self._hold_back(client, flush)
                continue
            client.stalled_s = None
            if client.seq >= floor or self._can_be_made_whole(client):
                for outgoing in flush.frames(client):
                    wire.send(outgoing.frame)
                    sent[outgoing.type] += 1
                client.told(seq)
        self._metrics.sent(sent)
        self._metrics.flushes.observe(time.perf_counter() - began_s)

    def _can_be_made_whole(self, client: Client) -> bool:
        """Say whether a client that was away for too long can be told all that it lacks; what was
        removed is listed no more, but a snapshot says it too."""
        if client.seq < self._board.events_floor:
            client.close(Close.TOO_SLOW, "too slow: events would be lost")
            return False
        client.wants = client.choice.channels
        return True

    def _hold_back(self, client: Client, flush: Flush) -> None:
        now_s = asyncio.get_running_loop().time()
        self._metrics.held_back(flush.state_bytes(client))
        client.passed_seq = self._board.seq
        if client.stalled_s is None:
            client.stalled_s = now_s
        self._lose_patience(client, stalled_for_s=now_s - client.stalled_s)

    def _lose_patience(self, client: Client, *, stalled_for_s: float) -> None:
        waiting = len(self._board.events_since(client.seq))
        if waiting > self._settings.ws_max_pending_events or client.seq < self._board.floor:
            client.close(Close.TOO_SLOW, "too slow: events would be lost")
        elif stalled_for_s >= self._settings.ws_stall_timeout_s:
            client.close(Close.TOO_SLOW, "too slow: nothing was read for too long")


def _cancel(group: Group) -> None:
    if group.timer is not None:
        group.timer.cancel()
        group.timer = None
