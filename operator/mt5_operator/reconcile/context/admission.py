# SPDX-License-Identifier: Apache-2.0
"""The line of accounts that wait for a node, as the leader knows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mt5_operator import metrics
from mt5_operator.capacity import Place, Waiting, lines, places, told
from mt5_operator.names import Key
from mt5_operator.spec.account import Platform


class Admission:
    """Who waits, who may stand before the scheduler, and how many accounts each platform has."""

    def __init__(self) -> None:
        # How many accounts each node has, as of a number of changes of the cached pods.
        self.crowd: tuple[int, Counter[str]] = (-1, Counter())
        self._waiting: dict[Key, Waiting] = {}
        self._places: dict[Key, Place] = {}
        self._platforms: dict[Key, Platform] = {}
        # Platforms whose line does not simply go, everybody's or that of a namespace which has its
        # cap on the nodes: told by the last `decide`, or a refusal since.
        self._short: set[tuple[Platform, str]] = set()

    def wait(self, who: Waiting) -> Place | None:
        """Take in that an account waits; return its place, None while nobody is short."""
        self._waiting[who.key] = who
        self._platforms[who.key] = who.platform
        if who.short:
            self._short.add((who.platform, who.key.namespace if who.capped else ""))
        if not self.short(who.platform, who.key.namespace):
            return None
        # Who comes while others wait goes to the back, until the next decision says otherwise.
        return self._places.setdefault(who.key, Place(len(self._waiting), held=not who.refused))

    def hold(self, key: Key) -> None:
        """Take in that an account had to wait without a pod so far."""
        self._places[key] = Place(0, held=True)

    def leave(self, key: Key, platform: Platform | None) -> None:
        """Take in that an account waits no more; `platform` is where it runs, if anywhere."""
        self._waiting.pop(key, None)
        self._places.pop(key, None)
        if platform is None:
            self._platforms.pop(key, None)
        else:
            self._platforms[key] = platform

    def decide(self, window: int) -> set[Key]:
        """Give everyone in line a place; return whom that concerns."""
        before, now = self._places, dict[Key, Place]()
        self._short = set()
        for platform, everybody in self._lines().items():
            for namespace, line in lines(everybody).items():
                # Held, or let in and not answered: a line lasts until the last of it has its word.
                unanswered = {w.key for w in line if w.key in before and not w.refused}
                if unanswered or any(who.short for who in line):
                    self._short.add((platform, namespace))
                    now |= places(line, window=window, unanswered=unanswered)
        self._places = now
        return {
            key
            for key in before.keys() | now.keys()
            if _words(before.get(key)) != _words(now.get(key))
        }

    def short(self, platform: Platform, namespace: str) -> bool:
        """Tell whether accounts wait because no place of a platform is free for a namespace."""
        return not self._short.isdisjoint({(platform, ""), (platform, namespace)})

    def held(self, platform: Platform) -> int:
        """Return how many accounts have no pod because others are before them."""
        line = self._lines().get(platform, [])
        return sum(self._places.get(who.key, Place(0)).held for who in line)

    def accounts(self, platform: Platform) -> int:
        """Return how many accounts run or wait on a platform."""
        return sum(each is platform for each in self._platforms.values())

    def count(self) -> None:
        """Tell Prometheus who waits."""
        found = Counter((who.platform, who.vip) for who in self._waiting.values())
        for platform in Platform:
            for vip, name in ((True, "VIP"), (False, "Standard")):
                metrics.WAITING.labels(platform.value, name).set(found[platform, vip])

    def _lines(self) -> Mapping[Platform, list[Waiting]]:
        found: dict[Platform, list[Waiting]] = {}
        for who in self._waiting.values():
            found.setdefault(who.platform, []).append(who)
        return found


def _words(place: Place | None) -> tuple[bool, str]:
    return (place.held, told(place, Platform.LINUX)) if place else (False, "")
