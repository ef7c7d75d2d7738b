# SPDX-License-Identifier: Apache-2.0
"""Who gets the next place, and how many places are kept warm. Pure.

The scheduler alone knows what fits where. We only decide who may stand before it while it says
that nothing fits: so a place that becomes free goes to the account that is first in line, and no
account that runs is ever ended for another (docs/adr/042).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mt5_operator.names import Key
from mt5_operator.settings import Settings, WarmWindow
from mt5_operator.spec.account import Platform, Priority
from mt5_operator.spec.parse import Account

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Exact up to here; beyond, so coarse that a moving line does not rewrite every status.
_EXACT: Final = 10
_STEPS: Final = (20, 50, 100, 200, 500, 1000)
# Source: kube-scheduler 1.34, plugins volumebinding, volumezone and nodevolumelimits.
_OF_VOLUMES: Final = ("volume", "pvc(s)", "enough free storage")


@dataclass(frozen=True)
class Waiting:
    """An account that wants a node and has none."""

    key: Key
    platform: Platform
    vip: bool
    created: str
    uid: str
    # The scheduler's own words, empty while it did not refuse.
    refused: str = ""
    # It would take any place that an account of its platform leaves.
    ordinary: bool = True

    @property
    def short(self) -> bool:
        """Tell whether its refusal proves that no place is free."""
        return bool(self.refused) and self.ordinary

    @property
    def capped(self) -> bool:
        """Tell whether it was refused by the cap of a node, which counts one namespace's pods."""
        return "topology spread" in self.refused


@dataclass(frozen=True)
class Place:
    """A place in the line: from 1; who is held does not stand before the scheduler yet."""

    position: int
    held: bool = False


def waiting(account: Account, platform: Platform, refused: str) -> Waiting:
    """Return an account without a node as it waits in line."""
    own = account.spec.resources.requests
    return Waiting(
        key=account.key,
        platform=platform,
        vip=account.spec.priority is Priority.VIP,
        created=account.created,
        uid=account.uid,
        refused=refused,
        ordinary=own.cpu is None and own.memory is None and not for_its_volume(refused),
    )


def for_its_volume(refused: str) -> bool:
    """Tell whether the scheduler refused a pod for its volume, and so says nothing of places.

    A claim may be bound to nothing, or bind the pod to a zone or node.
    """
    about = any(word in refused.casefold() for word in _OF_VOLUMES)
    return about and "Insufficient" not in refused


def lines(everybody: Iterable[Waiting]) -> Mapping[str, list[Waiting]]:
    """Return the lines of one platform: everybody's, called "", and those of single namespaces.

    A namespace that has its cap on the nodes stands by itself: what refuses it refuses no other.
    """
    all_of_them = list(everybody)
    capped = {who.key.namespace for who in all_of_them if who.capped}
    found: dict[str, list[Waiting]] = {}
    for who in all_of_them:
        its_own = who.key.namespace if who.key.namespace in capped else ""
        found.setdefault(its_own, []).append(who)
    return found


def places(
    line: Iterable[Waiting], *, window: int, unanswered: Collection[Key] = ()
) -> Mapping[Key, Place]:
    """Return everyone's place in a line; `unanswered` had one and heard nothing since.

    While nobody is refused or unanswered, all may go. Else the first `window` of the best class
    stand before the scheduler, and who asks for more than others holds nobody back.
    """
    ranked = sorted(line, key=lambda who: (not who.vip, who.created, who.uid))
    if not any(who.short or who.key in unanswered for who in ranked):
        return {who.key: Place(number) for number, who in enumerate(ranked, 1)}
    vip_first = any(who.vip and who.ordinary for who in ranked)
    found, let_in = {}, 0
    for number, who in enumerate(ranked, 1):
        behind = vip_first and not who.vip
        goes = not behind and (let_in < window or not who.ordinary)
        let_in += goes and who.ordinary
        found[who.key] = Place(number, held=not goes)
    return found


def told(place: Place, platform: Platform) -> str:
    """Return what a person is told of a place in line."""
    where = about(place.position)
    return f"place {where} in the queue for {platform} (VIP first, then age)"


def about(number: int) -> str:
    """Return the words for a number in a line, which change seldom while the line moves."""
    step = next((step for step in _STEPS if number <= step), 0)
    return str(number) if number <= _EXACT else f"up to {step}" if step else "beyond 1000"


def warm(platform: Platform, *, accounts: int, held: int, now: datetime, settings: Settings) -> int:
    """Return how many placeholders a platform should have: the buffer, and one for who is held.

    Who is held has no pod that a cluster autoscaler could see; a placeholder stands for it.
    """
    windows = platform is Platform.WINDOWS
    if windows and not accounts:
        return 0  # nobody needs Windows: no Windows node is paid for
    base = settings.warm_windows if windows else settings.warm_linux
    share = math.ceil(accounts * settings.warm_percent / 100)
    scheduled = [
        each.windows if windows else each.linux
        for each in settings.warm_schedule
        if _open(each, now)
    ]
    return min(settings.warm_max, max(base, share, *scheduled, 0) + held)


def _open(window: WarmWindow, now: datetime) -> bool:
    clock, day = now.strftime("%H:%M"), now.weekday()
    if window.start <= window.end:
        return window.start <= clock < window.end and _DAYS[day] in window.days
    began_today = clock >= window.start and _DAYS[day] in window.days
    return began_today or (clock < window.end and _DAYS[day - 1] in window.days)
