# SPDX-License-Identifier: Apache-2.0
"""Messages to clients: an envelope of bytes around bodies that are encoded already.

`seq` is where to resume from: it moves only with the last message of a flush, so a connection
that breaks between two messages of one flush repeats that flush and loses nothing.
"""

from functools import lru_cache
from typing import Final

from mt5_sidecar.domain.clock import utc_iso
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.streams.board import Board, Delta
from mt5_sidecar.streams.channels import ACCOUNT_KEY, CHANNELS, Channel, Choice

# Collections whose keys are ticket numbers; `tick_data` has symbols.
_NUMBERED: Final = frozenset({"positions", "orders"})


def message(type_: str, data: bytes, *, seq: int, now_ms: int) -> bytes:
    """Return a message as JSON; `data` is JSON already."""
    return b'{"type":"%b","timestamp":"%b","seq":%d,"data":%b}' % (
        type_.encode(),
        _timestamp(now_ms),
        seq,
        data,
    )


def reply(type_: str, data: bytes, *, id_: str | int | None, now_ms: int) -> bytes:
    """Return the answer to a client's message, with the `id` that it carried."""
    return b'{"type":"%b","timestamp":"%b","id":%b,"data":%b}' % (
        type_.encode(),
        _timestamp(now_ms),
        encode(id_),
        data,
    )


def changes(channel: Channel, delta: Delta) -> bytes | None:
    """Return a channel's news as JSON, None when there is none."""
    if channel == "account_info":
        return delta.changed[0] if delta.changed else None
    if not delta.changed and not delta.removed:
        return None
    return b'{"changed":[%b],"removed":[%b]}' % (
        b",".join(delta.changed),
        b",".join(_key(channel, key) for key in delta.removed),
    )


def snapshot(board: Board, choice: Choice, status: bytes) -> bytes:
    """Return all that `choice` covers as JSON, the connection's status with it; of each channel
    something is known."""
    parts = [
        b'"%b":%b' % (channel.encode(), _whole(board, channel, choice))
        for channel in CHANNELS
        if channel in choice.channels
    ]
    return b"{%b}" % b",".join((*parts, b'"status":%b' % status))


def event(type_: str, data: bytes, *, number: int, seq: int, now_ms: int) -> bytes:
    """Return an event's message; `event` numbers it, so that a repeated one is recognised."""
    return b'{"type":"%b","timestamp":"%b","seq":%d,"event":%d,"data":%b}' % (
        type_.encode(),
        _timestamp(now_ms),
        seq,
        number,
        data,
    )


def _whole(board: Board, channel: Channel, choice: Choice) -> bytes:
    items = board.items(channel)
    if channel == "account_info":
        return items[ACCOUNT_KEY].body
    wanted = choice.symbols if channel == "tick_data" else None
    bodies = (item.body for key, item in items.items() if wanted is None or key in wanted)
    return b"[%b]" % b",".join(bodies)


def _key(channel: Channel, key: str) -> bytes:
    return key.encode() if channel in _NUMBERED else encode(key)


@lru_cache(maxsize=8)
def _timestamp(now_ms: int) -> bytes:
    return utc_iso(now_ms).encode()
