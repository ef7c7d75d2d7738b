# SPDX-License-Identifier: Apache-2.0
"""A queue of keys, each at most once, worked on by one worker at a time, some only later.

The rules of client-go's workqueue: a key that is added while it is worked on comes again after.
Keys that are added without a reason (a resync of thousands) let those with one go first. Namespaces
take turns, and with a limit none has all workers: work that hangs holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from mt5_operator.fairness import may_take
from mt5_operator.names import Key

# However many have a reason, every so many a key without one is taken: none waits for ever.
_TURN: Final = 10


class _Lines:
    """Keys in the order in which they came, by namespace; namespaces take turns."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return key in self._of.get(key.namespace, ())

    def add(self, key: Key) -> None:
        self._of.setdefault(key.namespace, OrderedDict())[key] = None
        self._count += 1

    def remove(self, key: Key) -> None:
        line = self._of[key.namespace]
        del line[key]
        if not line:
            del self._of[key.namespace]
        self._count -= 1

    def pop(self, may: Callable[[str], bool]) -> Key | None:
        """Take out the next key whose namespace may have a turn; None if there is none."""
        # Whoever may not is at work: there are at most as many of them as workers.
        namespace = next((name for name in self._of if may(name)), None)
        if namespace is None:
            return None
        key = next(iter(self._of[namespace]))
        self.remove(key)
        if namespace in self._of:
            self._of.move_to_end(namespace)
        return key


class Schedule:
    """Keys and when they are due."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        limit: int = sys.maxsize,
        shared: Callable[[], bool] = lambda: True,
    ) -> None:
        """`limit`: how many are worked on at once; `shared`: several namespaces have keys."""
        self._clock = clock
        self._limit = limit
        self._shared = shared
        self._ready = _Lines()
        self._patient = _Lines()
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
            self._patient.remove(key)
            self._due.pop(key, None)
            self._ready.add(key)
        elif key not in self._waiting:
            self._due.pop(key, None)
            self._waiting.add(key)
            self._ready.add(key)
            self._wake_one()

    def add_patient(self, key: Key) -> None:
        """Make `key` due without a reason: after those that have one, but for every tenth turn."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._patient.add(key)
            self._wake_one()

    def drop(self, key: Key) -> None:
        """Forget when `key` would have been due later."""
        self._due.pop(key, None)
        self._again.discard(key)

    def take(self) -> Key | None:
        """Return a key that is due; None if there is none now."""
        self._ripen()
        if not len(self) or (key := self._first()) is None:
            return None
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
        elif len(self):
            self._wake_one()  # more than who ends here may have become free

    def next_due_s(self) -> float | None:
        """Return the seconds until something is due; None if nothing will be."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # overtaken by an earlier time, or dropped
        return max(0.0, self._heap[0][0] - self._clock()) if self._heap else None

    def _first(self) -> Key | None:
        self._turn += 1
        turns = (self._ready, self._patient)
        for lines in turns[::-1] if self._turn % _TURN == 0 else turns:
            if key := lines.pop(self._may):
                return key
        return None

    def _may(self, namespace: str) -> bool:
        working = (key.namespace for key in self._working)
        return may_take(namespace, working, limit=self._limit, shared=self._shared())

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
