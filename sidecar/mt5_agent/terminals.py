# SPDX-License-Identifier: Apache-2.0
"""Keeps the terminal running: starts it, notices its end, starts it again with growing patience."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from mt5_agent.backoff import Backoff
from mt5_agent.processes import Child

_log = logging.getLogger(__name__)


class NotThere(Exception):
    """There is no program to start."""


class Start(Protocol):
    """How a terminal is started, asked to close, and cleared away."""

    async def argv(self) -> list[str]:
        """Make ready for a start, and return its command.

        Raises:
            NotThere: There is no terminal.
            OSError: What it reads at its start cannot be written.
        """

    async def ask(self, pid: int) -> None:
        """Ask the terminal with this process number to close; return at once or soon."""

    async def clear(self) -> None:
        """End what a terminal left behind."""


class Terminal:
    """The terminal process, over all its lives."""

    def __init__(
        self,
        start: Start,
        *,
        backoff: Backoff,
        steady_s: float,
        began: Callable[[], None],
        ended: Callable[[bool], None],
        restarted: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Keep one running, as `start` says: what ran `steady_s` was well, and its next start is
        quick again. Call `began` in each life, `ended` with whether it was asked to, `restarted`
        before each life but the first, `failed` when it cannot be started."""
        self._start = start
        self._backoff, self._steady_s = backoff, steady_s
        self._began, self._ended = began, ended
        self._restarted, self._failed = restarted, failed
        self._child: Child | None = None
        self._asked = False
        self.restart_reason = ""
        """Why the last life was ended as planned; empty: it was not."""
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._down.set()
        self.started_s = 0.0

    @property
    def runs(self) -> bool:
        """Tell whether the process is there."""
        return self._up.is_set()

    async def up(self) -> None:
        """Wait until the process runs."""
        await self._up.wait()

    async def down(self) -> None:
        """Wait until it does not."""
        await self._down.wait()

    async def keep(self) -> None:
        """Keep it running until cancelled."""
        while True:
            try:
                await self._one_life(await self._start.argv())
            except (NotThere, OSError) as error:
                self._failed(error)
                await self._backoff.wait()
            else:
                await self._backoff.wait()
                self._restarted()

    async def stop(self, patience_s: float) -> None:
        """Close it as a person would, wait, and leave nothing behind."""
        if self._child is None:
            return
        await self._close(self._child, patience_s)
        await self._start.clear()

    async def restart(self, why: str, patience_s: float) -> None:
        """Close it as a person would; `keep` starts it again."""
        if self._child is not None:
            self.restart_reason = why
            self._backoff.reset()  # nothing failed
            await self._close(self._child, patience_s)

    async def _close(self, child: Child, patience_s: float) -> None:
        self._asked = True
        if child.runs:
            await self._start.ask(child.pid)
        await child.stop(patience_s)

    async def _one_life(self, argv: list[str]) -> None:
        loop = asyncio.get_running_loop()
        self._child, self._asked = await Child.start(argv), False
        self.restart_reason = ""
        self.started_s = loop.time()
        _log.info("terminal started, pid %d", self._child.pid)
        self._began()
        self._down.clear()
        self._up.set()
        try:
            code = await self._child.ended()
        finally:
            self._up.clear()
            self._down.set()
            self._ended(self._asked)
        lived_s = loop.time() - self.started_s
        _log.warning("terminal ended with code %d after %.0f s", code, lived_s)
        if lived_s > self._steady_s:
            self._backoff.reset()
