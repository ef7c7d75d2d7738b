# SPDX-License-Identifier: Apache-2.0
"""Read a small document of another server: the issuer's key set."""

from typing import Final

import aiohttp

TIMEOUT_S: Final = 5.0
LARGEST_BYTES: Final = 256 * 1024


async def fetch(url: str) -> bytes:
    """Return the body of a 200 answer.

    Raises:
        aiohttp.ClientError, TimeoutError, ValueError: There is none, or it is too large.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"answered {answer.status}")
        return await _whole(answer.content)


async def _whole(content: aiohttp.StreamReader) -> bytes:
    body = b""
    async for part in content.iter_any():
        body += part
        if len(body) > LARGEST_BYTES:
            raise ValueError("more than a key set has")
    return body
