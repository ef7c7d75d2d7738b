# SPDX-License-Identifier: Apache-2.0
"""How a process of tasks ends: told by a signal, in order, and for certain."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence


def cause(task: asyncio.Future[None]) -> str:
    """Return why a task ended."""
    if task.cancelled():
        return "cut off: kopf ended"  # it cancels all that began after it
    return repr(error) if (error := task.exception()) else "told to"


def end_for_certain(after_s: float) -> None:
    """End the process after a while, even if something hangs: it may have lost its Lease."""
    timer = threading.Timer(after_s, os._exit, [1])
    timer.daemon = True
    timer.start()


async def signalled(ready: asyncio.Event, told: asyncio.Event) -> None:
    """Wait for SIGTERM or SIGINT; `ready` says that kopf runs, which takes them for itself."""
    await ready.wait()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


async def cancelled(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def ended(watch: asyncio.Future[None], *, timeout_s: float) -> None:
    """Wait for the watches, which end by themselves once told to; cut them off after a while."""
    await asyncio.wait({watch}, timeout=timeout_s)
    await cancelled([watch])
