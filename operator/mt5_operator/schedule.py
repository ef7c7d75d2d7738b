# SPDX-License-Identifier: Apache-2.0
"""A queue of keys, each at most once, worked on by one worker at a time, some only later.

The rules of client-go's workqueue: a key that is added while it is worked on comes again after.
Keys that are added without a reason (a resync of thousands) let those with one go first.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from mt5_operator.names import Key

# However many have a reason, every so many a key without one is taken: none waits for ever.
_TURN: Final = 10


class Schedule:
    """Keys and when they are due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: deque[Key] = deque()
        self._patient: OrderedDict[Key, None] = OrderedDict()
        self._turn = 0
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._ready) + len(self._patient)

    def add(self, key: Key, *, after_s: float = 0) -> None:
        """Make `key` due in `after_s` seconds; an earlier time stays."""
        if after_s > 0:
            self._later(key, self._clock() + after_s)
        elif key in self._working:
            self._again.add(key)
        elif key in self._patient:
            del self._patient[key]
            self._due.pop(key, None)
            self._ready.append(key)
        elif key not in self._waiting:
            self._due.pop(key, None)
            self._waiting.add(key)
            self._ready.append(key)
            self._wake_one()

    def add_patient(self, key: Key) -> None:
        """Make `key` due without a reason: after those that have one, but for every tenth turn."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._patient[key] = None
            self._wake_one()

    def drop(self, key: Key) -> None:
        """Forget when `key` would have been due later."""
        self._due.pop(key, None)
        self._again.discard(key)

    def take(self) -> Key | None:
        """Return a key that is due; None if there is none now."""
        self._ripen()
        if not len(self):
            return None
        key = self._first()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    async def get(self) -> Key:
        """Return a key that is due, waiting for one if need be."""
        while (key := self.take()) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._set_timer()
            try:
                await waiter
            except asyncio.CancelledError:
                self._give_way(waiter)
                raise
        return key

    def done(self, key: Key) -> None:
        """Say that the work on `key` has ended; call it once for each `get`."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def next_due_s(self) -> float | None:
        """Return the seconds until something is due; None if nothing will be."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # overtaken by an earlier time, or dropped
        return max(0.0, self._heap[0][0] - self._clock()) if self._heap else None

    def _first(self) -> Key:
        self._turn += 1
        if self._patient and (not self._ready or self._turn % _TURN == 0):
            return self._patient.popitem(last=False)[0]
        return self._ready.popleft()

    def _later(self, key: Key, due: float) -> None:
        waits = key in self._waiting and key not in self._patient
        if waits or due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._set_timer()

    def _ripen(self) -> None:
        while (pause := self.next_due_s()) is not None and pause <= 0:
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            self.add(key)

    def _wake_one(self) -> None:
        # One key wakes one worker: dozens of them waiting must cost nothing.
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _give_way(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif len(self):
            self._wake_one()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        pause_s = self.next_due_s()
        if self._waiters and pause_s is not None:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._ripen()
        self._set_timer()
