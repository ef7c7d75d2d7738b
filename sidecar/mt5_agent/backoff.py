# SPDX-License-Identifier: Apache-2.0
"""Growing waits between attempts."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

_SPREAD: Final = 0.2
"""Waits differ by up to so much, so that a hundred accounts do not come back in step."""


class Backoff:
    """Each wait is twice the last, up to a limit."""

    def __init__(
        self,
        *,
        first_s: float,
        most_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Wait `first_s` at first and never more than `most_s`."""
        self._first_s, self._most_s, self._sleep = first_s, most_s, sleep
        self._next_s = first_s

    def reset(self) -> None:
        """Begin again with short waits."""
        self._next_s = self._first_s

    def next_s(self) -> float:
        """Return the next wait, and double the one after it."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._most_s)
        return wait_s * (1 + random.uniform(-_SPREAD, _SPREAD))  # noqa: S311  (no secret)

    async def wait(self) -> None:
        """Wait."""
        await self._sleep(self.next_s())
