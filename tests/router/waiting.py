# SPDX-License-Identifier: Apache-2.0
"""Wait for conditions, never for times."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

INTERVAL_S = 0.01


async def until(
    look: Callable[[], Any] | Callable[[], Awaitable[Any]], *, what: str, timeout_s: float = 10
) -> Any:
    """Return the first true answer of `look`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = look()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        await asyncio.sleep(INTERVAL_S)
