# SPDX-License-Identifier: Apache-2.0
"""Reads of thousands of records, one after the other: a dozen of them at once would take all the
memory of the pod, and hold up the loop for everybody else's streams and orders."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mt5_sidecar.orders.errors import Busy
from mt5_sidecar.settings import Settings


class Turns:
    """A line for all, in which one caller has so many places."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def next(self, subject: str) -> AsyncIterator[None]:
        """Wait until it is `subject`'s turn; the next one's comes after what is done inside.

        Raises:
            Busy: Too many wait.
        """
        settings = self._settings
        if self._waiting[subject] >= settings.key_large_reads_waiting:
            raise Busy("too many large reads of this key wait", limit="key", retry_after_s=1)
        if self._waiting.total() >= settings.large_reads_waiting:
            raise Busy("too many large reads wait", limit="account", retry_after_s=1)
        self._waiting[subject] += 1
        try:
            async with self._lock:
                yield
        finally:
            self._waiting[subject] -= 1
            self._waiting += Counter()  # who waits for nothing is forgotten
