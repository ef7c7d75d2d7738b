# SPDX-License-Identifier: Apache-2.0
"""A document that is made for the first who asks: most pods are never asked for their schemas."""

import asyncio
from collections.abc import Callable


class Document:
    """Bytes that `make` returns, made once."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._making = asyncio.Lock()
        self._made: bytes | None = None

    async def body(self) -> bytes:
        """Return them. In a thread the first time: it takes longer than a stream may be held up."""
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made
