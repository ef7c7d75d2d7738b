# SPDX-License-Identifier: Apache-2.0
"""What is done now and then: old journals go, and a terminal that needs it starts afresh.

A planned restart is never in the middle of a call, and never more often than its budget says: a
terminal that grows back at once, or a broker that kicks every start, must not make a loop.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mt5_agent import disk, memory
from mt5_agent.memory import Memory
from mt5_agent.reasons import Reason
from mt5_agent.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """How the terminal is, as far as a restart may help."""

    reason: str = ""
    """Why the account is not connected."""
    unsynchronised_s: float = 0.0
    """For so long it has been authorised and not synchronised."""
    unanswered_s: float = 0.0
    """For so long it has run and answered nothing."""
    memory: Memory | None = None


def is_silent(seen: Condition, *, limit_s: float) -> bool:
    """Tell whether it hangs: a new worker and a new log-in have not helped."""
    return seen.reason == Reason.TERMINAL_FAULT and seen.unanswered_s > limit_s


def why_restart(seen: Condition, *, patience_s: float) -> str:
    """Return why the terminal should start afresh; empty: it should not."""
    if seen.memory is not None and seen.memory.is_over:
        used, limit = seen.memory.used_bytes >> 20, seen.memory.soft_limit_bytes >> 20
        return f"it uses {used} MiB of memory, more than {limit} MiB"
    # MT5.md 4: a kick counts only when it goes on over fresh starts.
    if seen.reason == Reason.PLATFORM_REJECTED:
        return "the broker drops it again and again"
    if seen.unsynchronised_s > patience_s:
        return "the broker accepted the log-in and never synchronised"
    return ""


class Upkeep:
    """A loop around `look`."""

    def __init__(
        self,
        settings: Settings,
        *,
        condition: Callable[[Memory | None], Condition],
        restart: Callable[[str], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask `condition`, and `restart` the terminal with the reason why."""
        self._settings, self._condition, self._restart = settings, condition, restart
        self._clock = clock
        self._restarted_s = clock()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(self._settings.upkeep_interval_s)
            await self.look()

    async def look(self) -> None:
        """Do what is due now."""
        settings = self._settings
        try:
            disk.tidy(
                settings.data_dir,
                now_s=time.time(),
                keep_days=settings.log_keep_days,
                most_bytes=settings.log_keep_bytes,
            )
        except OSError as error:  # the folder is not there yet, or a file went meanwhile
            _log.info("journals were not tidied: %s", error)
        used = memory.look(settings.cgroup_dir, settings.memory_soft_limit_bytes)
        if why := self._why(self._condition(used)):
            self._restarted_s = self._clock()
            _log.warning("planned restart of the terminal: %s", why)
            await self._restart(why)

    def _why(self, seen: Condition) -> str:
        settings = self._settings
        if is_silent(seen, limit_s=settings.unanswered_limit_s):  # counted from its start: no loop
            return f"it has not answered for {seen.unanswered_s:.0f} s"
        if self._clock() - self._restarted_s < settings.planned_restart_interval_s:
            return ""
        return why_restart(seen, patience_s=settings.planned_restart_interval_s)
