# SPDX-License-Identifier: Apache-2.0
"""Keeps the terminal running: starts it, notices its end, starts it again with growing patience."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from mt5_agent.backoff import Backoff
from mt5_agent.processes import Child

_STEADY_S: Final = 60.0
"""A terminal that ran so long was well: the next restart is quick again."""
_log = logging.getLogger(__name__)


class Terminal:
    """The terminal process, over all its lives."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        backoff: Backoff,
        restarted: Callable[[], None],
        missing: Callable[[OSError], None],
    ) -> None:
        """Keep `argv` running; call `restarted` before each life but the first, `missing`
        when there is no such program."""
        self._argv = argv
        self._backoff = backoff
        self._restarted, self._missing = restarted, missing
        self._child: Child | None = None
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
                await self._one_life()
            except OSError as error:  # no such program
                self._missing(error)
            await self._backoff.wait()
            self._restarted()

    async def stop(self, patience_s: float) -> None:
        """Close it as a person would, and wait."""
        if self._child is not None:
            await self._child.stop(patience_s)

    async def _one_life(self) -> None:
        loop = asyncio.get_running_loop()
        self._child = await Child.start(self._argv, speaks=False)
        self.started_s = loop.time()
        _log.info("terminal started, pid %d", self._child.pid)
        self._down.clear()
        self._up.set()
        try:
            code = await self._child.ended()
        finally:
            self._up.clear()
            self._down.set()
        lived_s = loop.time() - self.started_s
        _log.warning("terminal ended with code %d after %.0f s", code, lived_s)
        if lived_s > _STEADY_S:
            self._backoff.reset()
