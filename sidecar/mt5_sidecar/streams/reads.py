# SPDX-License-Identifier: Apache-2.0
"""Whole snapshots for those who ask: encoded once per version, whoever asks and how often."""

from typing import Final, NamedTuple

from mt5_sidecar.domain.clock import utc_iso
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.metrics import Metrics
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.channels import ACCOUNT_KEY, Channel
from mt5_sidecar.streams.feed import Feed

FIELD: Final[dict[Channel, str]] = {
    "account_info": "account",
    "positions": "positions",
    "orders": "orders",
    "tick_data": "ticks",
}


class Read(NamedTuple):
    """A body, and the tag by which a client knows that it has it already."""

    etag: str
    body: bytes


class Reads:
    """The last body of each channel, made again when its version or staleness is another."""

    def __init__(self, board: Board, feed: Feed, metrics: Metrics) -> None:
        self._metrics = metrics
        self._board = board
        self._feed = feed
        self._made: dict[Channel, Read] = {}

    def read(self, channel: Channel) -> Read:
        """Return the channel as it is now."""
        etag = self.etag(channel)
        made = self._made.get(channel)
        if made is not None and made.etag == etag:
            self._metrics.snapshot_kept.inc()
            return made
        self._metrics.snapshot_made.inc()
        made = self._made[channel] = Read(etag, self.body(channel))
        return made

    def etag(self, channel: Channel) -> str:
        """Return the tag of the channel's present body."""
        feed = self._feed
        stale = f"-{feed.stale_since_ms}" if feed.stale_since_ms else ""
        return f'"{self._board.epoch}-{self._board.version(channel)}-{feed.zone_s}{stale}"'

    def body(
        self, channel: Channel, keys: frozenset[str] | None = None, more: tuple[bytes, ...] = ()
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
            self._data(channel, keys, more),
        )

    def _data(
        self, channel: Channel, keys: frozenset[str] | None, more: tuple[bytes, ...]
    ) -> bytes:
        items = self._board.items(channel)
        if channel == "account_info":
            return items[ACCOUNT_KEY].body
        bodies = (i.body for key, i in items.items() if keys is None or key in keys)
        return b"[%b]" % b",".join((*bodies, *more))
