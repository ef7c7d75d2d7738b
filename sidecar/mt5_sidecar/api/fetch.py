# SPDX-License-Identifier: Apache-2.0
"""Read a small document of another server: the issuer's key set."""

import asyncio
import ssl
from functools import cache

import aiohttp


async def fetch(url: str, *, timeout_s: float, limit_bytes: int) -> bytes:
    """Return the body of a 200 answer, which may have `limit_bytes` and take `timeout_s`.

    Raises:
        aiohttp.ClientError, TimeoutError, ValueError: There is none, or it is too large. What a
            ValueError or OSError says is for the log: it does not quote `url`, nor the answer.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    # In a thread: to read all certificates takes longer than a stream may be held up.
    trusted = await asyncio.to_thread(_trusted) if url.startswith("https") else True
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False, ssl=trusted) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"answered {answer.status}")
            return await _whole(answer.content, limit_bytes)
    except aiohttp.InvalidURL:
        raise ValueError("the address is none") from None


@cache
def _trusted() -> ssl.SSLContext:
    # aiohttp's own holds no certificate (mt5_sidecar.lean).
    return ssl.create_default_context()


async def _whole(content: aiohttp.StreamReader, limit_bytes: int) -> bytes:
    body = b""
    async for part in content.iter_any():
        body += part
        if len(body) > limit_bytes:
            raise ValueError("more than a key set has")
    return body
