# SPDX-License-Identifier: Apache-2.0
"""Wait for conditions, never for times."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from cluster.waiting import patience_s

INTERVAL_S: Final = 0.01
# No promise of anybody's: what a program needs to start on a machine that has much else to do.
STARTS_S: Final = 60.0
# How long a router may take over a change that its Redis tells it of.
AT_ONCE_S: Final = 1.0


async def until(
    look: Callable[[], Any] | Callable[[], Awaitable[Any]],
    *,
    what: str,
    timeout_s: float = 10,
    hint: Callable[[], str] = lambda: "",
) -> Any:
    """Return the first true answer of `look`; without one, fail within `patience_s(timeout_s)`."""
    began = time.monotonic()
    while True:
        answer = look()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        waited_s = time.monotonic() - began
        told = f"waited {waited_s:.3g} s in vain for {what}. "
        assert waited_s < patience_s(timeout_s), told + hint()
        await asyncio.sleep(INTERVAL_S)
