# SPDX-License-Identifier: Apache-2.0
"""An answer that is bytes already: the hot reads, written in one piece.

An ordinary `web.Response` parses its content type, builds its headers and serialises them for each
request: 14 us of the 38 us that aiohttp takes for an answer. Here the fixed part of the head is
made once with the body, and only what belongs to this request is put between them.
"""

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11

END: Final = b"\r\n"


class Ready(web.StreamResponse):
    """`head` (status line and headers, each with its line end), the date, our headers, `body`."""

    def __init__(self, head: bytes, body: bytes, *, status: int = 200) -> None:
        super().__init__(status=status)
        self._head = head
        self._content = body
        self._written = False

    @property
    def prepared(self) -> bool:
        """Say whether it was sent: too late for a header."""
        return self._written

    @property
    def keep_alive(self) -> bool:
        """Ready answers are for connections that stay (`fits`)."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it, and wait while the client does not take what it asked for."""
        if not self._written:
            self._written = True
            await request.writer.write(self._data())
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing: there is no more."""

    def _data(self) -> bytes:
        own = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return b"".join((self._head, _date(int(time.time())), own.encode(), END, self._content))


def fits(request: web.BaseRequest) -> bool:
    """Say whether `request` may be answered so: HTTP/1.1 on a connection that is kept."""
    return request.keep_alive and request.version == HttpVersion11


def head(status: str, headers: dict[str, str]) -> bytes:
    """Return the fixed part of a head; the caller sees to it that no value has a line end."""
    lines = (f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()))
    return "".join(f"{line}\r\n" for line in lines).encode()


@lru_cache(maxsize=2)
def _date(now_s: int) -> bytes:
    return f"{hdrs.DATE}: {formatdate(now_s, usegmt=True)}\r\n".encode()
