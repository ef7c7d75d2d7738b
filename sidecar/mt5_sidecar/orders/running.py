# SPDX-License-Identifier: Apache-2.0
"""Trades being carried out now. Who asked may go away; the trade goes on to its end."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine

from mt5_sidecar.orders.outcomes import Outcome


class Running:
    """Tasks by key, each with the fingerprint of its request, and counted by who asked."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[str, asyncio.Task[Outcome]]] = {}
        self.taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._tasks)

    def fingerprint(self, key: str) -> str | None:
        """Return what is being carried out under `key`."""
        return self._tasks[key][0] if key in self._tasks else None

    async def run(
        self, key: str, fingerprint: str, work: Coroutine[None, None, Outcome], *, by: str
    ) -> Outcome:
        """Return what `work` returns; a cancelled caller (`by`) does not cancel it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[key] = (fingerprint, task)
        self.taken[by] += 1
        task.add_done_callback(lambda done: self._done(key, by, done))
        return await asyncio.shield(task)

    async def finished(self) -> None:
        """Return when nothing runs any more."""
        while self._tasks:
            tasks = [task for _, task in self._tasks.values()]
            with contextlib.suppress(Exception):
                await asyncio.wait(tasks)

    def _done(self, key: str, by: str, task: asyncio.Task[Outcome]) -> None:
        del self._tasks[key]
        self.taken[by] -= 1
        self.taken += Counter()  # who has none is forgotten
        if not task.cancelled():
            # Its caller may be gone: then nobody else reads the error.
            task.exception()
