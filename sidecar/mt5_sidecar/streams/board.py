# SPDX-License-Identifier: Apache-2.0
"""The board: what the account is now, and since which `seq` each part of it is so.

One number, `seq`, counts all changes. Every item remembers the `seq` of its last change, and
what is gone leaves a marker; so "what changed since n" has an answer for any n, for as long as
markers and events last. That one answer serves new clients, slow clients and returning ones.
"""

import secrets
from collections import deque
from collections.abc import Container, Iterable, Mapping
from itertools import takewhile
from typing import Final, NamedTuple

from mt5_sidecar.streams.channels import CHANNELS, Channel

MOST_MARKERS: Final = 4096
# The `seq` of who has heard nothing of the account: there is no resuming from there.
NOTHING_YET: Final = 0


class Item(NamedTuple):
    """A part of the account, as JSON, and the `seq` of its last change."""

    seq: int
    body: bytes


class Event(NamedTuple):
    """A message that everybody gets, in order, however slow."""

    seq: int
    type: str
    body: bytes


class Delta(NamedTuple):
    """What became of a channel's items between two moments."""

    changed: list[bytes]
    removed: list[str]


class Board:
    """Items by channel and key, and the last events."""

    def __init__(self, *, max_events: int, epoch: str | None = None) -> None:
        self.epoch = epoch or secrets.token_hex(8)
        self.seq = 0
        self.floor = 0
        """The oldest `seq` since which every change is still known."""
        self.events_floor = 0
        """The oldest `seq` since which every event is still here."""
        self.events: deque[Event] = deque()
        self._max_events = max_events
        self._items: dict[Channel, dict[str, Item]] = {channel: {} for channel in CHANNELS}
        self._gone: dict[Channel, dict[str, int]] = {channel: {} for channel in CHANNELS}
        self._versions: dict[Channel, int] = dict.fromkeys(CHANNELS, 0)
        self._known_since: dict[Channel, int] = {}

    def version(self, channel: Channel) -> int:
        """The `seq` of the channel's last change; 0 when it never had any."""
        return self._versions[channel]

    def is_news(self, channel: Channel, *, since: int) -> bool:
        """Say whether nothing was known of the channel at `since`, and now something is: that it
        holds nothing may be all."""
        return self._known_since.get(channel, 0) > since

    def items(self, channel: Channel) -> Mapping[str, Item]:
        """Return the channel's items by key, in the terminal's order."""
        return self._items[channel]

    def replace(self, channel: Channel, bodies: Mapping[str, bytes]) -> bool:
        """Make `bodies` all that the channel holds; say whether that changed anything."""
        before = self._items[channel]
        gone = [key for key in before if key not in bodies]
        seq = self.seq + 1
        items = {
            key: item if (item := before.get(key)) and item.body == body else Item(seq, body)
            for key, body in bodies.items()
        }
        changed = any(item.seq == seq for item in items.values())
        if self._versions[channel] and not gone and not changed:
            return False
        self._items[channel] = items
        self._mark_gone(channel, gone, bodies, seq=self._next(channel))
        return True

    def update(self, channel: Channel, bodies: Mapping[str, bytes]) -> bool:
        """Put `bodies` beside what the channel holds; say whether that changed anything."""
        before = self._items[channel]
        news = {key: body for key, body in bodies.items() if _differs(before.get(key), body)}
        if not news:
            return False
        seq = self._next(channel)
        for key, body in news.items():
            before[key] = Item(seq, body)
            self._gone[channel].pop(key, None)
        return True

    def retain(self, channel: Channel, keys: Container[str]) -> bool:
        """Drop what is not in `keys`; say whether anything was."""
        kept = {k: item.body for k, item in self._items[channel].items() if k in keys}
        return len(kept) < len(self._items[channel]) and self.replace(channel, kept)

    def happened(self, type_: str, body: bytes) -> Event:
        """Add an event, and forget the oldest when there are too many."""
        self.seq += 1
        event = Event(self.seq, type_, body)
        self.events.append(event)
        if len(self.events) > self._max_events:
            self.events_floor = self.events.popleft().seq
            self.floor = max(self.floor, self.events_floor)
        return event

    def events_since(self, seq: int) -> list[Event]:
        """Return the events after `seq`, oldest first."""
        # From the newest back: mostly there is none, and hundreds are kept.
        news = list(takewhile(lambda event: event.seq > seq, reversed(self.events)))
        return news[::-1]

    def can_resume(self, seq: int) -> bool:
        """Say whether nothing is lost to who has seen everything up to `seq`."""
        return seq != NOTHING_YET and self.floor <= seq <= self.seq

    def step(self) -> None:
        """Let what is told from now on have a `seq` of its own, though nothing has changed: who has
        heard it is told from who has not."""
        self.seq += 1

    def delta(self, channel: Channel, *, since: int, keys: frozenset[str] | None = None) -> Delta:
        """Return what changed after `since`, of these keys or of all."""
        items, removed = self._items[channel], self._gone_since(channel, since)
        if keys is None:
            return Delta([item.body for item in items.values() if item.seq > since], removed)
        return Delta(
            [item.body for key, item in items.items() if item.seq > since and key in keys],
            [key for key in removed if key in keys],
        )

    def _gone_since(self, channel: Channel, since: int) -> list[str]:
        # From the newest back, as with events: markers stand in the order of their `seq`.
        newest_first = reversed(self._gone[channel].items())
        gone = [key for key, _ in takewhile(lambda marker: marker[1] > since, newest_first)]
        return gone[::-1]

    def _next(self, channel: Channel) -> int:
        self.seq += 1
        self._versions[channel] = self.seq
        self._known_since.setdefault(channel, self.seq)
        return self.seq

    def _mark_gone(
        self, channel: Channel, gone: Iterable[str], bodies: Mapping[str, bytes], *, seq: int
    ) -> None:
        markers = self._gone[channel]
        for key in bodies if markers else ():
            markers.pop(key, None)
        markers.update(dict.fromkeys(gone, seq))
        while len(markers) > MOST_MARKERS:
            oldest = next(iter(markers))
            self.floor = max(self.floor, markers.pop(oldest))


def _differs(item: Item | None, body: bytes) -> bool:
    return item is None or item.body != body
