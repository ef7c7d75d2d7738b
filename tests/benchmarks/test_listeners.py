# SPDX-License-Identifier: Apache-2.0
"""The listener counts whole large messages, however the bytes arrive."""

import asyncio
from typing import cast

import pytest

from bench.listeners import LARGE_BYTES, Listener
from mt5_sidecar.streams.frame import text_frame

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Nowhere:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


@pytest.mark.parametrize("piece", [1, 7, 1000, 1_000_000])
def test_large_messages_are_counted_once_each(piece: int) -> None:
    listener = Listener(b"")
    listener.connection_made(cast(asyncio.Transport, Nowhere()))
    sizes = (5, LARGE_BYTES, 125, 70_000, 126)
    data = ACCEPTED + b"".join(text_frame(b"x" * size) for size in sizes)

    for start in range(0, len(data), piece):
        listener.data_received(data[start : start + piece])

    assert listener.is_open
    assert len(listener.heard) == 2


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_ping_is_answered_with_its_payload_or_the_server_would_hang_up(piece: int) -> None:
    listener, transport = Listener(b""), Nowhere()
    listener.connection_made(cast(asyncio.Transport, transport))
    data = ACCEPTED + text_frame(b"x") + b"\x89\x02hi" + text_frame(b"x" * 300)

    for start in range(0, len(data), piece):
        listener.data_received(data[start : start + piece])

    # RFC 6455: a pong, masked, here by zeros.
    assert transport.written == [b"", b"\x8a\x82\0\0\0\0hi"]
