# SPDX-License-Identifier: Apache-2.0
"""Does the broker kick this account because of its platform? Everything else is ruled out first.

MT5.md 4: there is no log line that says so. What is left when the other causes are ruled out is a
candidate; only what another platform then shows is proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mt5_operator.brokers.tally import Tally
from mt5_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is held against a platform, or why nothing is.

    `pattern`: the account is being kicked now, and nothing else explains it. `starts` are fresh
    starts of the terminal after which it happened again. `proven`: long and often enough.
    """

    pattern: bool = False
    proven: bool = False
    lasts_s: float = 0
    starts: int = 0
    words: str = ""


_Look = Callable[[Tally, Settings, datetime], str]


def suspicion(tally: Tally, settings: Settings, now: datetime) -> Suspicion:
    """Return what one account shows."""
    for look in _LOOKS:
        if words := look(tally, settings, now):
            return Suspicion(words=words)
    begin = tally.suspect_since or now
    lasts_s = (now - begin).total_seconds()
    long_enough = lasts_s >= settings.broker_suspect_s
    often_enough = tally.proven_starts >= settings.broker_fresh_starts
    return Suspicion(
        pattern=True,
        proven=long_enough and often_enough,
        lasts_s=lasts_s,
        starts=tally.proven_starts,
        words=_words(tally),
    )


def _calm(tally: Tally, settings: Settings, now: datetime) -> str:
    kicked = tally.kicks(settings, now) >= settings.broker_kicks
    waits = tally.since_start.unsynchronised_s >= settings.broker_never_synchronised_s
    return "" if kicked or waits else "it is not being kicked"


def _other_cause(tally: Tally, settings: Settings, now: datetime) -> str:
    recent = tally.innocent_at and _ago_s(tally.innocent_at, now) < settings.broker_kicks_window_s
    return f"{tally.innocent} explains it" if recent else ""


def _was_healthy(tally: Tally, settings: Settings, now: datetime) -> str:
    return "it was healthy here in the last hours" if healthy(tally, settings, now) else ""


def _bad_line(tally: Tally, settings: Settings, now: datetime) -> str:
    del now
    share = tally.total.connected_s / tally.total.observed_s if tally.total.observed_s else 0
    if share <= settings.broker_kicked_uptime_max:
        return ""
    return f"it is connected {share:.0%} of the time: a bad line, and no refusal"


def _network(tally: Tally, settings: Settings, now: datetime) -> str:
    # Who is refused is let in and thrown out; a broken network does not let in.
    del now
    total = tally.total
    if tally.since_start.unsynchronised_s >= settings.broker_never_synchronised_s:
        return ""  # it was let in for all that time
    failed = total.unreachable - total.drops
    if failed <= settings.broker_failed_tries_max * total.kicks:
        return ""
    return "most of its tries do not reach the broker: the network"


_LOOKS: Final[tuple[_Look, ...]] = (_calm, _other_cause, _was_healthy, _bad_line, _network)


def healthy(tally: Tally, settings: Settings, now: datetime) -> bool:
    """Tell whether the account was steadily connected in the last `broker_healthy_s`."""
    at = tally.healthy_at
    return at is not None and _ago_s(at, now) < settings.broker_healthy_s


def unwell(tally: Tally, settings: Settings, now: datetime) -> bool:
    """Tell whether the account's link is broken, or was lost a moment ago."""
    recent = bool(tally.kicks(settings, now))
    return recent or (not tally.last.connected and tally.last.reason in _LINK)


def _words(tally: Tally) -> str:
    total = tally.total
    if total.kicks:
        return f"logged in and thrown out {total.kicks} times"
    return f"logged in and not synchronised for {total.unsynchronised_s:.0f} s"


def _ago_s(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()


_LINK: Final = ("BrokerUnreachable", "Disconnected", "PlatformRejected")
