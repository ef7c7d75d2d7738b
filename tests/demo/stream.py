# SPDX-License-Identifier: Apache-2.0
"""Listen to an account's WebSocket for a moment, with a client library that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from websockets.asyncio.client import connect

# Enough to see the welcome, the snapshot and the first changes.
MESSAGES = 4
TIMEOUT_S = 20.0


def listen(url: str, key: str, *, messages: int = MESSAGES) -> Iterator[str]:
    """Yield the first `messages` messages of the stream at `url` (`ws://...`)."""
    yield from asyncio.run(_listen(url, key, messages))


async def _listen(url: str, key: str, messages: int) -> list[str]:
    async with asyncio.timeout(TIMEOUT_S):
        async with connect(url, additional_headers={"X-API-Key": key}) as socket:
            return [str(await socket.recv()) for _ in range(messages)]
