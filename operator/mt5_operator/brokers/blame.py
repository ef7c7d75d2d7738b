# SPDX-License-Identifier: Apache-2.0
"""Whether a platform is to blame for what its accounts of a broker show. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mt5_operator.brokers.criteria import hours
from mt5_operator.brokers.suspicion import Suspicion, healthy, suspicion
from mt5_operator.brokers.tally import Tally
from mt5_operator.settings import Settings
from mt5_operator.spec.broker import BrokerStatus


@dataclass(frozen=True, slots=True)
class Facts:
    """What a review looks at."""

    now: datetime
    linux: Sequence[Tally]
    windows: Sequence[Tally]
    windows_node: bool
    # Says whether a tally's node has a bad network: other brokers' accounts there are unwell too.
    bad_node: Callable[[Tally], bool] = lambda _: False
    reprobe: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held against a platform, over all of a broker's accounts there."""

    suspect: bool = False
    proven: bool = False
    words: str = ""
    try_again: tuple[Tally, ...] = ()


def on_linux(status: BrokerStatus, facts: Facts, settings: Settings) -> Held:
    """Return what is held against Linux."""
    return _held_against(facts.linux, status.healthy_on_linux, facts, settings)


def on_windows(status: BrokerStatus, facts: Facts, settings: Settings) -> Held:
    """Return what is held against Windows."""
    return _held_against(facts.windows, status.healthy_on_windows, facts, settings)


def _held_against(
    tallies: Sequence[Tally], healthy_at: datetime | None, facts: Facts, settings: Settings
) -> Held:
    found = [(suspicion(tally, settings, facts.now), tally) for tally in tallies]
    suspects = [(held, tally) for held, tally in found if held.pattern]
    if not suspects:
        return Held()
    again = sorted(
        (tally for _, tally in suspects if not tally.start_counts),
        key=lambda tally: (-tally.proven_starts, tally.last.key),
    )
    held, _ = max(suspects, key=lambda one: (one[0].proven, one[0].starts, one[0].lasts_s))
    told = _told(held, len(suspects), len(tallies))
    if words := _acquitted(tallies, suspects, healthy_at, facts, settings):
        return Held(words=f"{told}; but {words}")
    # Who was started afresh must first show whether it happens again.
    enough = held.starts >= settings.broker_fresh_starts
    return Held(
        suspect=True,
        proven=held.proven,
        words=told,
        try_again=() if enough else tuple(again),
    )


def _acquitted(
    tallies: Sequence[Tally],
    suspects: Sequence[tuple[Suspicion, Tally]],
    healthy_at: datetime | None,
    facts: Facts,
    settings: Settings,
) -> str:
    """Return why the platform is not to blame for what these accounts show; empty if it may be."""
    if any(healthy(tally, settings, facts.now) for tally in tallies):
        return "another account of this broker is stable there, so it is not the platform"
    recent = healthy_at and (facts.now - healthy_at).total_seconds() < settings.broker_healthy_s
    if recent:
        return "accounts of this broker were stable there in the last hours"
    if all(facts.bad_node(tally) for _, tally in suspects):
        return "accounts of other brokers on the same nodes are unwell too: the node's network"
    return ""


def _told(held: Suspicion, suspects: int, accounts: int) -> str:
    return (
        f"{suspects} of {accounts} accounts, never stable: {held.words}; for"
        f" {hours(held.lasts_s)}, again after {held.starts} fresh starts of the terminal"
    )
