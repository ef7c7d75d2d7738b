# SPDX-License-Identifier: Apache-2.0
"""End a leader that may be one no more, even if its event loop hangs.

The election only looks between its tries, and a try may hang, or the whole process may: a thread
looks at the clock instead. Two leaders at once would write two truths.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import structlog

_log = structlog.get_logger()
# No setting, as the margin is none: with more between looks than `margin_s`, two could lead.
_LOOK_S = 0.1


def margin_s(duration_s: float) -> float:
    """Return how long before others may take the Lease a leader must have ended."""
    return min(1.5, duration_s * 0.1)


def _end() -> None:
    os._exit(1)


class Watchdog:
    """Ends the process when our Lease was not renewed in time, or is another's."""

    def __init__(
        self,
        duration_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[], None] = _end,
    ) -> None:
        self._lasts_s = duration_s - margin_s(duration_s)
        self._clock = clock
        self._end = end
        self._deadline: float | None = None

    def start(self) -> None:
        """Look from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="lease-watchdog", daemon=True).start()

    def now(self) -> float:
        """Return the clock's time, to be taken before a renewal is sent."""
        return self._clock()

    def renewed(self, asked_at: float) -> None:
        """Take in that the Lease is ours, by a request that was sent at `asked_at`."""
        self._deadline = asked_at + self._lasts_s

    def released(self) -> None:
        """Take in that the Lease is not ours any more, by our own will."""
        self._deadline = None

    def held_by_another(self) -> None:
        """Take in that another holds the Lease: end at once if we thought that we lead."""
        if self._deadline is not None:
            self._over("another replica holds the Lease")

    def look(self) -> None:
        """End the process if its time is over."""
        deadline = self._deadline
        if deadline is not None and self._clock() >= deadline:
            self._over("the Lease was not renewed in time")

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(_LOOK_S)

    def _over(self, why: str) -> None:
        # The log may hang like everything else; the end may not.
        timer = threading.Timer(0.2, self._end)
        timer.daemon = True
        timer.start()
        _log.critical("no leader any more: ending at once", why=why)
        self._end()
