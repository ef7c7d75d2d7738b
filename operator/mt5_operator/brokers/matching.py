# SPDX-License-Identifier: Apache-2.0
"""Which broker a server belongs to: the most specific pattern, then the older broker."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from mt5_operator.spec.account import Platform
from mt5_operator.spec.broker import Verdict

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Broker:
    """As much of an `MT5Broker` as an account's platform depends on."""

    name: str
    uid: str
    created: str
    patterns: tuple[str, ...]
    pinned: Platform | None = None
    verdict: Verdict = Verdict.UNKNOWN
    moved_back: bool = False
    # Whose accounts it was made for (`names.made_for`); empty: a person wrote it.
    made_for: str = ""


class Rank(NamedTuple):
    """How well a pattern fits; the smallest wins."""

    has_wildcard: bool
    wild_characters: int
    created: str
    name: str

    @property
    def fit(self) -> tuple[bool, int]:
        """Return the part in which two brokers can be equal."""
        return self.has_wildcard, self.wild_characters


@dataclass(frozen=True, slots=True)
class Match:
    """The broker of a server, and those that fit as well and are younger."""

    broker: Broker
    tied: tuple[str, ...] = ()


def match(server: str, brokers: Iterable[Broker]) -> Match | None:
    """Return the broker of `server`; None if no pattern fits."""
    ranked = [(rank, broker) for broker in brokers if (rank := _rank(server, broker))]
    if not ranked:
        return None
    ranked.sort(key=lambda found: found[0])
    best, broker = ranked[0]
    return Match(broker, tuple(other.name for rank, other in ranked[1:] if rank.fit == best.fit))


def _rank(server: str, broker: Broker) -> Rank | None:
    fits = [pattern for pattern in broker.patterns if _compiled(pattern).fullmatch(server)]
    found = [
        Rank(
            ANY in pattern, len(server) - len(pattern.replace(ANY, "")), broker.created, broker.name
        )
        for pattern in fits
    ]
    return min(found, default=None)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split(ANY))), re.IGNORECASE | re.DOTALL)
