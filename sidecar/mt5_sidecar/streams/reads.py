# SPDX-License-Identifier: Apache-2.0
"""Whole snapshots for those who ask: encoded once per version, whoever asks and how often."""

from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from mt5_sidecar.domain.clock import utc_iso
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.metrics.account import AccountMetrics
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.channels import ACCOUNT_KEY, Channel
from mt5_sidecar.streams.feed import Feed

FIELD: Final[dict[Channel, str]] = {
    "account_info": "account",
    "positions": "positions",
    "orders": "orders",
    "tick_data": "ticks",
}


# Every choice of fields is a body of its own; the ones that nobody asks for any more are dropped.
MOST_BODIES: Final = 64

Fields = tuple[str, ...]
"""Names in a fixed order; none is all of them."""


class Read(NamedTuple):
    """A body, and the tag by which a client knows that it has it already."""

    etag: str
    body: bytes


State = tuple[int, int | None, int | None]
"""What a body depends on: the channel's version, the broker's zone, since when it is stale."""


class Reads:
    """The last bodies of each channel, made again when its version or staleness is another."""

    def __init__(self, board: Board, feed: Feed, metrics: AccountMetrics) -> None:
        self._metrics = metrics
        self._board = board
        self._feed = feed
        self._made: OrderedDict[tuple[Channel, Fields], tuple[State, Read]] = OrderedDict()

    def read(self, channel: Channel, fields: Fields = ()) -> Read:
        """Return the channel as it is now: the same object while nothing changed."""
        state = (self._board.version(channel), self._feed.zone_s, self._feed.stale_since_ms)
        made = self._made.get((channel, fields))
        if made is not None and made[0] == state:
            self._metrics.bodies_kept.inc()
            return made[1]
        self._metrics.bodies_made.inc()
        read = Read(self._etag(state, fields), self.body(channel, fields=fields))
        self._made[channel, fields] = (state, read)
        self._made.move_to_end((channel, fields))
        if len(self._made) > MOST_BODIES:
            self._made.popitem(last=False)
        return read

    @property
    def bodies(self) -> int:
        """How many bodies are held."""
        return len(self._made)

    def _etag(self, state: State, fields: Fields) -> str:
        version, zone_s, stale_since_ms = state
        stale = f"-{stale_since_ms}" if stale_since_ms else ""
        chosen = f":{'.'.join(fields)}" if fields else ""
        return f'"{self._board.epoch}-{version}-{zone_s}{stale}{chosen}"'

    def body(
        self,
        channel: Channel,
        keys: frozenset[str] | None = None,
        more: tuple[bytes, ...] = (),
        *,
        fields: Fields = (),
    ) -> bytes:
        """Return the channel's items in their envelope, of these keys or of all, and `more`."""
        since_ms = self._feed.stale_since_ms
        return b'{"version":%d,"time":%b,"stale":%b,"stale_since":%b,"utc_offset_s":%b,"%b":%b}' % (
            self._board.version(channel),
            encode(utc_iso(self._feed.changed_ms.get(channel, 0))),
            encode(since_ms is not None),
            encode(None if since_ms is None else utc_iso(since_ms)),
            encode(self._feed.zone_s),
            FIELD[channel].encode(),
            self._data(channel, keys, more, fields),
        )

    def _data(
        self,
        channel: Channel,
        keys: frozenset[str] | None,
        more: tuple[bytes, ...],
        fields: Fields,
    ) -> bytes:
        items = self._board.items(channel)
        if channel == "account_info":
            return _chosen(items[ACCOUNT_KEY].body, fields)
        bodies = (i.body for key, i in items.items() if keys is None or key in keys)
        return b"[%b]" % b",".join(_chosen(body, fields) for body in (*bodies, *more))


def _chosen(body: bytes, fields: Fields) -> bytes:
    if not fields:
        return body
    # Raw: a price keeps its digits, because nothing reads it.
    whole = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: whole[name] for name in fields})
