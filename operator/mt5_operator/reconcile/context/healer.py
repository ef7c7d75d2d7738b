# SPDX-License-Identifier: Apache-2.0
"""Take the steps of the ladder: seldom, never all at once, and never after a blackout of our own.

How long a trouble lasts is measured by this process' own clock from when it saw it first: neither
a node's wrong clock nor the time in which we were away can make it older than we know it to be.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from mt5_operator import healing
from mt5_operator.fairness import may_take
from mt5_operator.healing import LOCAL, REMOTE, Step
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Account
from mt5_operator.status.seen import Seen
from mt5_operator.status.verdict import serving

_MINUTE_S: Final = 60.0


@dataclass
class _Group:
    """Accounts that have a running pod, and those in trouble."""

    accounts: set[Key] = field(default_factory=set)
    down: set[Key] = field(default_factory=set)

    def count(self) -> tuple[int, int]:
        """Return how many are in trouble, and how many there are."""
        return len(self.down), len(self.accounts)

    def note(self, key: Key, *, down: bool) -> None:
        """Take in an account."""
        self.accounts.add(key)
        (self.down.add if down else self.down.discard)(key)

    def forget(self, key: Key) -> None:
        """Forget an account."""
        self.accounts.discard(key)
        self.down.discard(key)


@dataclass
class _Server:
    """The accounts of one broker server, together and by namespace.

    Together they are counted at every look at one of them, however many namespaces there are.
    """

    together: _Group = field(default_factory=_Group)
    groups: defaultdict[str, _Group] = field(default_factory=lambda: defaultdict(_Group))
    told: bool = False
    ended: bool = False

    def count_for(self, namespace: str, *, enough: int) -> tuple[int, int]:
        """Return what counts for a namespace: its own accounts, if they are enough.

        Whoever has most accounts of a server may have cut them off alone.
        """
        own = self.groups.get(namespace, _Group())
        return (own if len(own.accounts) >= enough else self.together).count()

    def note(self, key: Key, *, down: bool) -> None:
        """Take in an account."""
        for group in (self.together, self.groups[key.namespace]):
            group.note(key, down=down)

    def forget(self, key: Key) -> None:
        """Forget an account."""
        own = self.groups[key.namespace]
        for group in (self.together, own):
            group.forget(key)
        if not own.accounts:
            del self.groups[key.namespace]


class Healer:
    """What this leader saw of troubles, and the rate at which it steps."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: Callable[[], bool] = lambda: True,
    ) -> None:
        """`shared`: several namespaces have accounts, and so share the rate."""
        self._settings = settings
        self._clock = clock
        self._shared = shared
        self._since: dict[Key, float] = {}
        self._well: dict[Key, float] = {}
        self._servers: dict[str, _Server] = {}
        self._where: dict[Key, str] = {}
        # Of the last minute: when each was taken, and by which namespace.
        self._steps: deque[tuple[float, str]] = deque()
        # Whose next step is due, and waits for the rate.
        self._waiting: set[Key] = set()
        self._quiet_until = clock() + settings.heal_grace_s
        self._due: dict[Key, float] = {}

    def disturbed(self) -> None:
        """Take in that the API server or Redis is away: what we see may be its doing."""
        self._quiet_until = self._clock() + self._settings.heal_grace_s

    @property
    def quiet(self) -> bool:
        """Tell whether no step is taken of any account for now."""
        return self._clock() < self._quiet_until

    @property
    def waiting(self) -> int:
        """Return how many accounts' next step waits because too many were taken just now."""
        return len(self._waiting)

    def forget(self, key: Key) -> None:
        """Forget an account that is gone, or has no pod that could be healed."""
        self._waiting.discard(key)
        self._since.pop(key, None)
        self._well.pop(key, None)
        self._due.pop(key, None)
        if server := self._servers.get(self._where.pop(key, "")):
            server.forget(key)

    def next_s(self, key: Key) -> float | None:
        """Return the seconds until an account should be looked at again; None if need not be."""
        due = self._due.get(key)
        return None if due is None else max(0.05, due - self._clock())

    def outages(self) -> dict[str, tuple[int, int]]:
        """Return the broker servers that are down: accounts in trouble, and all of them."""
        found = {name: server.together.count() for name, server in self._servers.items()}
        return {name: count for name, count in found.items() if self._out(*count)}

    def advise(
        self, account: Account, seen: Seen, *, now: str, short: bool = False
    ) -> tuple[Seen, Step | None]:
        """Return what is seen with the budget as it should be kept, and the step to take now.

        `short`: others wait for a place of its platform, and would have its.
        """
        key, reason = account.key, serving(seen).reason
        pod = seen.pod
        if pod is None or not pod.node or pod.ending or seen.suspended or seen.conflict:
            self.forget(key)
            return seen, None
        troubled = reason in LOCAL or reason in REMOTE
        self._note(key, account.spec.server, down=reason in REMOTE)
        if not troubled:
            return self._recovered(key, seen, reason), None
        return self._troubled(account, seen, reason, now, short=short)

    def began_outage(self, server: str) -> bool:
        """Tell once for each outage of a broker server that it began."""
        found = self._servers.get(server)
        if found is None or found.told or not self._out(*found.together.count()):
            return False
        found.told = True
        return True

    def ended_outage(self, server: str) -> bool:
        """Tell once for each outage of a broker server that it is over."""
        found = self._servers.get(server)
        if found is None or not found.ended:
            return False
        found.ended = False
        return True

    def _troubled(
        self, account: Account, seen: Seen, reason: Reason, now: str, *, short: bool
    ) -> tuple[Seen, Step | None]:
        key, spent, settings = account.key, seen.healing, self._settings
        storage = account.spec.storage is not None
        self._well.pop(key, None)
        since = self._since.setdefault(key, self._clock())
        due = since + healing.patience_s(key, spent.taken, settings)
        self._due[key] = due
        over = healing.exhausted(reason, spent, storage=storage, settings=settings)
        step = healing.next_step(reason, spent, storage=storage, settings=settings)
        if over or step is None:
            # The last step gets its time as well before a person is asked.
            if self._clock() >= due:
                self._due.pop(key, None)
                return replace(seen, exhausted=over), None
            return seen, None
        if not self._may_step(key, account.spec.server, due, short=short):
            return seen, None
        self._steps.append((self._clock(), key.namespace))
        self._since[key] = self._clock()
        self._due[key] = self._clock() + healing.patience_s(key, spent.taken + 1, settings)
        node = seen.pod.node if seen.pod else ""
        paid = healing.paid(
            spent, step, node=node, generation=seen.generation, now=now, settings=settings
        )
        return replace(seen, healing=paid), step

    def _may_step(self, key: Key, server: str, due: float, *, short: bool) -> bool:
        now = self._clock()
        if now < due:
            return False
        free_at = max(now, self._quiet_until, self._rate_allows_at(key, now))
        enough = self._settings.heal_outage_accounts
        count = self._servers.get(server, _Server()).count_for(key.namespace, enough=enough)
        if short or self._out(*count):
            # Looked at again by its sidecar's next word; this is only for what nobody tells.
            free_at = max(free_at, now + self._settings.heal_grace_s)
        if free_at > now:
            self._due[key] = free_at
            return False
        return True

    def _rate_allows_at(self, key: Key, now: float) -> float:
        while self._steps and self._steps[0][0] <= now - _MINUTE_S:
            self._steps.popleft()
        taken = (namespace for _, namespace in self._steps)
        limit = self._settings.heal_fleet_per_minute
        if may_take(key.namespace, taken, limit=limit, shared=self._shared()):
            self._waiting.discard(key)
            return now
        self._waiting.add(key)
        return self._steps[0][0] + _MINUTE_S

    def _recovered(self, key: Key, seen: Seen, reason: Reason) -> Seen:
        self._since.pop(key, None)
        self._due.pop(key, None)
        self._waiting.discard(key)
        if reason is not Reason.CONNECTED or not seen.healing.taken:
            self._well.pop(key, None)
            return seen
        since = self._well.setdefault(key, self._clock())
        self._due[key] = since + self._settings.heal_forget_s
        if self._clock() < self._due[key]:
            return seen
        del self._due[key]
        return replace(seen, healing=healing.forgotten(seen.healing))

    def _note(self, key: Key, name: str, *, down: bool) -> None:
        server = self._servers.setdefault(name, _Server())
        self._where[key] = name
        server.note(key, down=down)
        if server.told and not self._out(*server.together.count()):
            server.told, server.ended = False, True

    def _out(self, down: int, all_of_them: int) -> bool:
        settings = self._settings
        return (
            down >= settings.heal_outage_accounts
            and down >= settings.heal_outage_share * all_of_them
        )
