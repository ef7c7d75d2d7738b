# SPDX-License-Identifier: Apache-2.0
"""The journal for a program with an event loop: one thread writes, everybody awaits."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from mt5_sidecar.orders.errors import JournalError, JournalUnreadable
from mt5_sidecar.orders.journal.store import BATCH, Store
from mt5_sidecar.orders.records import Record

T = TypeVar("T")


class Journal:
    """Durable memory of keys. `on_write` gets each write's seconds, disk sync included."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        on_write: Callable[[float], None] = lambda _seconds: None,
        executor: Executor | None = None,
    ) -> None:
        """Use the store that `open_store` opens, in the journal's own thread."""
        self._open_store = open_store
        self._on_write = on_write
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._store: Store | None = None
        self._fault: JournalError | None = None

    @property
    def fault(self) -> JournalError | None:
        """Return why trades fail on it now; None if it was well when it was last used.

        What is damaged stays so until the file is opened, and checked, anew.
        """
        return self._fault

    def check_sound(self) -> None:
        """Let pass what is new, unless damage was found: a key that was sent may be missing.

        Raises:
            JournalUnreadable: A read found some.
        """
        if isinstance(self._fault, JournalUnreadable):
            raise type(self._fault)(self._fault.detail)

    async def open(self) -> None:
        """Open the file.

        Raises:
            JournalError: Nobody may trade on it; the class says why.
        """
        loop = asyncio.get_running_loop()
        self._store = await loop.run_in_executor(self._executor, self._open_store)

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        if self._store is not None:
            try:
                await self.read(Store.checkpoint)
            finally:
                # Or nobody else could open the file while this process lives.
                await self.read(Store.close)
                self._store = None
        self._executor.shutdown(wait=False)

    async def read(self, ask: Callable[[Store], T]) -> T:
        """Return what `ask` reads, after all earlier writes."""
        store = self._store
        assert store is not None, "the journal is not open"  # noqa: S101  a bug of ours
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, ask, store)
        except JournalError as error:
            if not isinstance(self._fault, JournalUnreadable):
                self._fault = error
            raise

    async def write(self, change: Callable[[Store], None]) -> None:
        """Return when `change` is durable."""
        self._on_write(await self.read(lambda store: _timed(change, store)))
        if not isinstance(self._fault, JournalUnreadable):
            self._fault = None

    async def try_again(self) -> None:
        """Write something if what was written last failed: the next trade may be hours away.

        Raises:
            JournalError: It still fails.
        """
        if self._fault is not None and not isinstance(self._fault, JournalUnreadable):
            await self.write(Store.try_out)

    async def get(self, key: str) -> Record | None:
        """Return the record of `key`."""
        return await self.read(lambda store: store.get(key))

    async def insert(self, record: Record) -> None:
        """Write a new key.

        Raises:
            KeyReused: It is there already.
        """
        await self.write(lambda store: store.insert(record))

    async def update(self, record: Record) -> None:
        """Write what is known of a key now."""
        await self.write(lambda store: store.update(record))

    async def compact(self, before_ms: int) -> int:
        """Forget settled keys older than `before_ms`, a batch at a time; return how many."""
        total = 0
        while forgotten := await self.read(lambda store: store.forget(before_ms)):
            total += forgotten
            if forgotten < BATCH:
                break
        await self.read(Store.checkpoint)
        return total


def _timed(change: Callable[[Store], None], store: Store) -> float:
    started_s = time.perf_counter()
    change(store)
    return time.perf_counter() - started_s
