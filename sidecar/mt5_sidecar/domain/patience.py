# SPDX-License-Identifier: Apache-2.0
"""Looking again until something shows: the terminal follows what it was told only after a while."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def awaited(
    seen: T,
    look: Callable[[], Awaitable[T]],
    good: Callable[[T], bool],
    *,
    timeout_s: float,
    interval_s: float,
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """Return `seen`, or what a later look shows, as soon as it is good; after the last one, what
    that shows: whether it is good is the caller's to ask."""
    for _ in range(math.ceil(timeout_s / interval_s)):
        if good(seen):
            break
        await sleep(interval_s)
        seen = await look()
    return seen
