# SPDX-License-Identifier: Apache-2.0
"""Where each client was in the stream, and what it had in full there: for when it comes back.

A client that returns with a channel that it did not have would hear only what changes in it, and
take that for all there is (docs/adr/098).
"""

import itertools
from collections import OrderedDict
from typing import Any, Final
from weakref import WeakValueDictionary

from mt5_sidecar.streams.channels import Choice

# Bounds of memory, not settings: a client beyond them gets a snapshot instead of what it missed.
# Of one owner's clients that are gone; an open one is always known. A key that connects again and
# again makes the sidecar forget its own places, and nobody else's.
MOST_PLACES: Final = 128
MOST_OWNERS: Final = 64
# So often one client's choice may change between two messages of which it hears one.
MOST_CHOICES: Final = 16


class Place:
    """One connection's: what its client had in full, and from which `seq` on."""

    __slots__ = ("__weakref__", "_held", "epoch", "owner")

    def __init__(self, epoch: str, owner: str = "") -> None:
        self.owner = owner
        self.epoch = epoch
        """What its client names it by."""
        self._held: tuple[tuple[int, Choice], ...] = ()

    def holds(self, choice: Choice, *, since: int) -> None:
        """Note that who has heard up to `since` has all of `choice`."""
        self._held = (*self._held, (since, choice))[-MOST_CHOICES:]

    def keeps(self, choice: Choice) -> None:
        """Note that no more than `choice` is wanted: of the rest it hears no changes."""
        self._held = tuple((since, choice.within(held)) for since, held in self._held)

    def at(self, seq: int) -> Choice | None:
        """Return what it had in full when it had heard up to `seq`; None: not known any more."""
        return next((choice for since, choice in reversed(self._held) if since <= seq), None)


class Places:
    """All of one board's."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._numbers = itertools.count(1)
        self._all: WeakValueDictionary[str, Place] = WeakValueDictionary()
        self._left: OrderedDict[str, OrderedDict[str, Place]] = OrderedDict()

    def new(self, owner: str) -> Place:
        """Return one for a new connection of `owner`."""
        place = Place(f"{self._epoch}-{next(self._numbers)}", owner)
        self._all[place.epoch] = place
        return place

    def find(self, epoch: str) -> Place | None:
        """Return the place of that name; None: it is another pod's, or forgotten."""
        return self._all.get(epoch)

    def leave(self, place: Place) -> None:
        """Keep the place of a connection that ended, and forget the one that ended long ago."""
        owned = self._left.setdefault(place.owner, OrderedDict())
        owned[place.epoch] = place
        self._left.move_to_end(place.owner)
        _forget_oldest(owned, most=MOST_PLACES)
        _forget_oldest(self._left, most=MOST_OWNERS)


def _forget_oldest(kept: OrderedDict[str, Any], *, most: int) -> None:
    if len(kept) > most:
        kept.popitem(last=False)
