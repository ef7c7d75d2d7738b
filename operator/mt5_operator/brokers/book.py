# SPDX-License-Identifier: Apache-2.0
"""The tallies of all accounts, while this process leads. What must last is in brokers' status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mt5_operator.brokers.evidence import Counts
from mt5_operator.brokers.tally import Sample, Tally, after
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform


class Book:
    """One tally for each account and platform: while an account moves, both are heard."""

    def __init__(self) -> None:
        self._tallies: dict[Key, dict[str, Tally]] = {}

    def note(self, sample: Sample, settings: Settings) -> None:
        """Take in a look at an account's sidecar."""
        tallies = self._tallies.setdefault(sample.key, {})
        platform = sample.evidence.platform
        tallies[platform] = after(tallies.get(platform), sample, settings)

    def forget(self, key: Key) -> None:
        """Forget an account that is gone."""
        self._tallies.pop(key, None)

    def on(self, keys: Iterable[Key], platform: Platform) -> list[Tally]:
        """Return the tallies of these accounts on one platform."""
        found = (self._tallies.get(key, {}).get(platform.value) for key in keys)
        return [tally for tally in found if tally is not None]

    def all(self) -> list[Tally]:
        """Return the tallies of all accounts."""
        return [tally for tallies in self._tallies.values() for tally in tallies.values()]

    def added_up(self, keys: Iterable[Key]) -> None:
        """Note that the news of these accounts are in their broker's trial."""
        for key in keys:
            for platform, tally in self._tallies.get(key, {}).items():
                self._tallies[key][platform] = replace(tally, news=Counts())
