# SPDX-License-Identifier: Apache-2.0
"""Who waits for a turn to move: a line for each namespace, and the first of each in order.

Each of thousands asks again and again, so nothing here goes through all of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple

from mt5_operator.names import Key

_Line = tuple[bool, str]


class Place(NamedTuple):
    """An account's place: who is first compares as the least."""

    rank: int
    since_s: float
    key: Key
    serves: bool


class Lines:
    """All who wait, those that serve apart from those that do not."""

    def __init__(self) -> None:
        self._places: dict[Key, Place] = {}
        self._lines: dict[_Line, list[Place]] = {}
        self._heads: dict[bool, list[Place]] = {True: [], False: []}

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: Key) -> Place | None:
        """Return an account's place; None if it does not wait."""
        return self._places.get(key)

    def put(self, place: Place) -> None:
        """Give an account this place, and no other."""
        if self._places.get(place.key) == place:
            return
        self.leave(place.key)
        self._places[place.key] = place
        line = self._lines.setdefault((place.serves, place.key.namespace), [])
        before = line[:1]
        insort(line, place)
        self._followed(before, line[:1])

    def leave(self, key: Key) -> None:
        """Take an account out."""
        place = self._places.pop(key, None)
        if place is None:
            return
        which = (place.serves, key.namespace)
        line = self._lines[which]
        before = line[:1]
        _remove(line, place)
        if not line:
            del self._lines[which]
        self._followed(before, line[:1])

    def number(self, place: Place) -> int:
        """Return a place's number in the line of its namespace, from 1."""
        return bisect_left(self._lines[place.serves, place.key.namespace], place) + 1

    def heads(self, *, serves: bool) -> Sequence[Place]:
        """Return the first of each namespace, in order."""
        return self._heads[serves]

    def head(self, namespace: str, *, serves: bool) -> Place | None:
        """Return the first of a namespace."""
        line = self._lines.get((serves, namespace))
        return line[0] if line else None

    def _followed(self, before: list[Place], after: list[Place]) -> None:
        if before == after:
            return
        for place in before:
            _remove(self._heads[place.serves], place)
        for place in after:
            insort(self._heads[place.serves], place)


def _remove(places: list[Place], place: Place) -> None:
    del places[bisect_left(places, place)]
