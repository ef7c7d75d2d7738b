# SPDX-License-Identifier: Apache-2.0
"""Writes that the API server refused: the same one is tried again ever more seldom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest


@dataclass(frozen=True)
class Refusal:
    """What was refused and why; `due` is in seconds of the clock."""

    wanted: Manifest
    problem: str
    pause_s: float
    due: float


class Refusals:
    """The last refused write of each account."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._last: dict[Key, Refusal] = {}
        # How many in a row, and when the first of them was.
        self._unanswered: dict[Key, tuple[int, float]] = {}

    def standing(self, key: Key, wanted: Manifest) -> str:
        """Return why `wanted` need not be tried now; empty if it should be."""
        last = self._last.get(key)
        waits = last is not None and last.wanted == wanted and self._clock() < last.due
        return last.problem if last and waits else ""

    def add(self, key: Key, wanted: Manifest, problem: str) -> None:
        """Remember a refusal; the pause doubles while the same write is refused."""
        last = self._last.get(key)
        again = last is not None and last.wanted == wanted
        least_s, most_s = self._settings.backoff_min_s, self._settings.backoff_max_s
        pause_s = min(most_s, 2 * last.pause_s) if last and again else least_s
        self._last[key] = Refusal(wanted, problem, pause_s, self._clock() + pause_s)

    def unanswered(self, key: Key, *, busy: bool = False) -> bool:
        """Take in a write without an answer; tell whether there were too many to be chance."""
        now = self._clock()
        before, since = self._unanswered.get(key, (0, now))
        self._unanswered[key] = (before + 1, since)
        # The API server is busy now and then; a webhook that fails does so each time. With too
        # many requests it says so itself, and to everybody: that ends, mostly.
        often = before + 1 >= self._settings.write_tries
        return often and (not busy or now - since >= self._settings.write_busy_s)

    def forget(self, key: Key) -> None:
        """Forget what was refused: it was taken, or its account is gone."""
        self._last.pop(key, None)
        self._unanswered.pop(key, None)

    def next_s(self, key: Key) -> float | None:
        """Return the seconds until the next try, at least a little; None if none is due."""
        last = self._last.get(key)
        return max(0.05, last.due - self._clock()) if last else None
