# SPDX-License-Identifier: Apache-2.0
"""Notice that somebody has set the clock. What is late enough by a clock that was set may be early.

Orders are judged by UTC, because that is what a later life, another pod and the broker share. A
machine that was paused, or whose clock was wrong, gets hours in a moment.
"""

import time
from collections.abc import Callable
from typing import Final

# Between two looks. What disciplines a clock without setting it moves it by a two-thousandth.
LARGEST_DRIFT_MS: Final = 1000


def monotonic_ms() -> int:
    """Return milliseconds that nobody sets."""
    return time.monotonic_ns() // 1_000_000


class Steps:
    """Compares two clocks from look to look."""

    def __init__(self, clock: Callable[[], int], steady: Callable[[], int]) -> None:
        self._clock = clock
        self._steady = steady
        self._apart_ms = clock() - steady()

    def seen_ms(self) -> int:
        """Return by how much `clock` was set since the last look; 0 where it was not."""
        before_ms, self._apart_ms = self._apart_ms, self._clock() - self._steady()
        step_ms = self._apart_ms - before_ms
        return step_ms if abs(step_ms) > LARGEST_DRIFT_MS else 0
