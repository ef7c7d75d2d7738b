# SPDX-License-Identifier: Apache-2.0
"""Who of the fleet may begin to move now: few at once, a pause between, none after a failure.

A failure is first of all its namespace's own; where several namespaces fail, it is everybody's.
Only the leader has one. What it must remember over a change of leaders is in the accounts'
statuses: it is told of them before anyone asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from mt5_operator import metrics
from mt5_operator.capacity import about
from mt5_operator.fairness import may_take
from mt5_operator.moving.failures import Failures
from mt5_operator.moving.lines import Lines, Place
from mt5_operator.moving.look import last_of, move_of
from mt5_operator.moving.need import REASONS
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import seconds
from mt5_operator.status.conditions import condition_of

# These save an account from what happens to it anyway: a failed update elsewhere stops none.
URGENT = ("NodeLeaving",)
# Mostly the same words: what changes is written to each waiting account, when it is looked at.
_TURN = "its turn has not come: MT5_OPERATOR_MOVE_MAX accounts move at once; it has place"
_PAUSED = "updates of all accounts are paused (MT5_OPERATOR_MOVE_MAX is 0)"
_FAILED_HERE = "a move failed in this namespace: updates pause here"
_FAILED = "moves failed in several namespaces: updates of all accounts pause"


class Answer(NamedTuple):
    """Why a move may not begin now, and when to ask again; empty if it may."""

    why: str = ""
    until_s: float = 0

    @property
    def granted(self) -> bool:
        """Tell whether the move may begin."""
        return not self.why


class Fleet:
    """The moves that are under way, and the accounts that wait for their turn."""

    def __init__(
        self,
        settings: Settings,
        *,
        now_s: Callable[[], float],
        due: Callable[[Key], None],
        shared: Callable[[], bool] = lambda: True,
    ) -> None:
        """`due` makes an account look again; `shared`: several namespaces have accounts."""
        self._settings = settings
        self._now_s = now_s
        self._due = due
        self._shared = shared
        # Whether each of them served when it began. Those that did not have turns of their own:
        # what is wrong with them mostly goes with them, and each try takes its whole deadline.
        self._moving: dict[Key, bool] = {}
        self._waiting = Lines()
        # When each of them asked last.
        self._asked_s: dict[Key, float] = {}
        # Of accounts that were lost after a move: when that move was done.
        self._lost: dict[Key, str] = {}
        self._began_s = float("-inf")
        # A counter that begins with its first failure shows Prometheus no increase.
        for reason in REASONS:
            metrics.MOVES.labels(reason, "Failed")
        self._failures = Failures(
            pause_s=settings.move_failure_pause_s, many=settings.move_failure_namespaces
        )

    @property
    def moving(self) -> int:
        """Return how many moves are under way."""
        return len(self._moving)

    def recall(self, accounts: Iterable[Mapping[str, Any]]) -> None:
        """Take in what the accounts' statuses say, before any may begin.

        Times of a leader whose clock is ahead of ours count as now: nobody waits until they come.
        """
        now_s = self._now_s()
        for manifest in accounts:
            meta, status = manifest["metadata"], manifest.get("status", {})
            key, served = Key(meta["namespace"], meta["name"]), _connected(status)
            if move := move_of(status):
                self._moving[key] = served
                self._began_s = max(self._began_s, min(now_s, seconds(move.started)))
            last = last_of(status)
            if last and last.outcome == "Failed" and served:
                failed_s = min(now_s, seconds(last.at))
                self._failures.add(key.namespace, failed_s, own=bool(last.unplaced))
        self._count()

    def ask(self, key: Key, *, vip: bool, reason: str, serves: bool) -> Answer:
        """Return whether `key` may begin to move now; it keeps its place until it may.

        One that serves nobody goes first: there is nothing to disturb.
        """
        now_s, urgent = self._now_s(), reason in URGENT or not serves
        if key in self._moving:
            return Answer()  # granted already, and not written down yet
        if not self._settings.move_max and reason not in URGENT:
            self._leave(key)
            return Answer(_PAUSED, now_s + self._settings.resync_s)
        rank = 0 if urgent else 1 + (vip == (self._settings.move_vip == "Last"))
        known = self._waiting.get(key)
        mine = Place(rank, known.since_s if known else now_s, key, serves)
        self._waiting.put(mine)
        self._asked_s[key] = now_s
        self._forget_silent(now_s)
        answer = self._answer(mine, now_s, urgent=urgent)
        if answer.granted:
            self._leave(key)
            self._moving[key] = serves
            self._began_s = now_s
            self._wake_first()
        self._count()
        return answer

    def over(self, key: Key, *, failed: bool = False, unplaced: bool = False) -> None:
        """Take in that a move has ended; the next ones are due.

        Where no node took the new pod, nothing was learned of what it was to get.
        """
        # Who did not serve before says nothing of it either.
        if self._moving.pop(key, True) and failed:
            self._failed(key, own=unplaced)
        self._wake_first()
        self._count()

    def lost(self, key: Key, done_at: str) -> bool:
        """Take in that an account was lost soon after its move; tell whether that is news.

        It counts as a failed move, and once: who is lost again and again stops no updates for ever.
        """
        if self._lost.get(key) == done_at:
            return False
        self._lost[key] = done_at
        self._failed(key, own=False)
        return True

    def pauses(self) -> tuple[int, bool]:
        """Return how many namespaces' updates pause after failures, and whether everybody's do."""
        return self._failures.pauses(self._now_s())

    def step_aside(self, key: Key) -> None:
        """Take in that an account does not move, and need not; or that it is gone."""
        known = self._waiting.get(key) is not None or key in self._moving
        self._leave(key)
        self._moving.pop(key, None)
        if known:
            self._wake_first()
            self._count()

    def forget(self, key: Key) -> None:
        """Forget an account that is gone."""
        self.step_aside(key)
        self._lost.pop(key, None)

    def _failed(self, key: Key, *, own: bool) -> None:
        now_s = self._now_s()
        self._failures.add(key.namespace, now_s, own=own)
        everybody = now_s < self._failures.everybody_until_s()
        # The first in line of whom it concerns learns when the pause is over; the others follow.
        concerned = [self._waiting.head(key.namespace, serves=True)]
        concerned += self._waiting.heads(serves=True)[:1] if everybody else []
        for first in filter(None, concerned):
            self._due(first.key)

    def _leave(self, key: Key) -> None:
        self._waiting.leave(key)
        self._asked_s.pop(key, None)

    def _forget_silent(self, now_s: float) -> None:
        # Everybody is looked at once in `resync_s`: one whose looks fail must not hold up others.
        late_s = now_s - 2 * self._settings.resync_s
        for serves in (False, True):
            while (first := self._first(serves=serves)) and self._asked_s[first.key] <= late_s:
                self._leave(first.key)

    def _wake_first(self) -> None:
        # The others wait without looking at the clock: thousands of them must cost nothing.
        for serves in (False, True):
            if first := self._first(serves=serves):
                self._due(first.key)

    def _first(self, *, serves: bool) -> Place | None:
        """Return who is next of those whose namespace may begin a move now."""
        now_s = self._now_s()
        heads = self._waiting.heads(serves=serves)
        return next((head for head in heads if self._may_be_next(head, now_s)), None)

    def _may_be_next(self, head: Place, now_s: float) -> bool:
        space = head.key.namespace
        calm = head.rank == 0 or self._failures.until_s(space) <= now_s
        return calm and self._room(space, serves=head.serves)

    def _room(self, namespace: str, *, serves: bool) -> bool:
        held = (key.namespace for key, served in self._moving.items() if served is serves)
        # A node is left all the same while updates are paused, one account at a time.
        limit = max(1, self._settings.move_max)
        return may_take(namespace, held, limit=limit, shared=self._shared())

    def _answer(self, mine: Place, now_s: float, *, urgent: bool) -> Answer:
        settings = self._settings
        calm_s = self._failures.until_s(mine.key.namespace)
        if not urgent and now_s < calm_s:
            everybody = now_s < self._failures.everybody_until_s()
            return Answer(_FAILED if everybody else _FAILED_HERE, calm_s)
        turn = f"{_TURN} {about(self._waiting.number(mine))} in its namespace"
        if mine != self._first(serves=mine.serves):
            return Answer(turn, now_s + settings.resync_s)
        gathered_s = mine.since_s + settings.move_gather_s
        next_s = max(gathered_s, self._began_s + settings.move_pause_s)
        return Answer(turn, next_s) if now_s < next_s else Answer()

    def _count(self) -> None:
        metrics.MOVES_IN_PROGRESS.set(len(self._moving))
        metrics.MOVES_WAITING.set(len(self._waiting))


def _connected(status: Mapping[str, Any]) -> bool:
    return (condition_of(status, "Connected") or {}).get("status") == "True"
