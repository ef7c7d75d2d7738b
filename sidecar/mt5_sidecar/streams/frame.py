# SPDX-License-Identifier: Apache-2.0
"""WebSocket frames, made once and sent to everybody.

A server's frames carry no mask and, without compression, no state of the connection: the same
bytes are right for every client. Source: RFC 6455 section 5.2.
"""

import struct
from typing import Final

FIN_TEXT: Final = 0x81
FIN_CLOSE: Final = 0x88
FIN_PONG: Final = 0x8A
# Control frames have no longer lengths.
MOST_CONTROL: Final = 125
# Lengths up to 125 stand in the second byte; 126 and 127 announce 2 and 8 more bytes.
SHORT: Final = 126
LONG: Final = 1 << 16


def text_frame(payload: bytes) -> bytes:
    """Return `payload` (UTF-8) as one final text frame."""
    size = len(payload)
    if size < SHORT:
        return bytes((FIN_TEXT, size)) + payload
    if size < LONG:
        return struct.pack("!BBH", FIN_TEXT, 126, size) + payload
    return struct.pack("!BBQ", FIN_TEXT, 127, size) + payload


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping of `payload`."""
    return bytes((FIN_PONG, len(payload))) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Return the frame that ends a connection, with as much of `reason` as it takes."""
    payload = struct.pack("!H", code) + reason.encode()
    payload = payload[:MOST_CONTROL]
    return bytes((FIN_CLOSE, len(payload))) + payload
