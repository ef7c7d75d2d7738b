# SPDX-License-Identifier: Apache-2.0
"""Several waits at once."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def first(*things: Awaitable[Any]) -> None:
    """Wait until one of `things` ends, cancel the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(thing) for thing in things]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
