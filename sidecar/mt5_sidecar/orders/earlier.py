# SPDX-License-Identifier: Apache-2.0
"""What an earlier pod of this account may have sent, when its journal is not here.

A new journal knows no key. One whole look at the terminal, begun when nothing of an earlier life
can still appear, tells all that was sent: after it, every key's order is either in that look, or
in the journal, or was never sent.

A journal that was put back from a backup claims keys that it has not. So one that claims to know
them all is compared with the terminal once in a life: marks that it lacks make it a new one.
"""

from collections.abc import Callable, Iterable

from mt5_agent.protocol import Deal, Order
from mt5_sidecar.logs import logger
from mt5_sidecar.orders.errors import KeyOfEarlierLife, KeyReused, Settling
from mt5_sidecar.orders.evidence import CLOCK_TOLERANCE_MS, OUR_REASONS, mark
from mt5_sidecar.orders.findings import executing, found, standing
from mt5_sidecar.orders.gate import Gate
from mt5_sidecar.orders.journal import Journal
from mt5_sidecar.orders.keys import (
    FIRST_OWN_MAGIC,
    carries,
    is_token,
    magic_of,
    start_of,
    token_of,
)
from mt5_sidecar.orders.looking import WIDEST_OFFSET_S, Looker
from mt5_sidecar.orders.outcomes import Verdict
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.sight import Sight

_MARKED = ("order", "close_position", "close_by")


class EarlierLife:
    """The look, and what it says of a key."""

    def __init__(
        self,
        journal: Journal,
        looker: Looker,
        gate: Gate,
        settings: OrderSettings,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._looker = looker
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._started_ms = clock()
        self._set_ms = 0
        self._settled = False
        self._claimed = False
        self._sight: Sight | None = None

    async def recall(self) -> None:
        """Begin, or begin again, with what the journal says of itself.

        `known_since_ms`: it has every key since then. `earlier_settled`: nothing of an earlier
        life can appear any more, so a look need not wait for that again.
        """
        read = self._journal.read
        known_since_ms = int(await read(lambda store: store.fact("known_since_ms")))
        self._settled = bool(await read(lambda store: store.fact("earlier_settled")))
        self._sight = None
        newborn_ms = self._settings.newborn_s * 1000
        claims = self._clock() - known_since_ms >= newborn_ms
        # A slot that does not trade lacks the other's keys, and gets them before it does.
        self._claimed = claims and newborn_ms > 0 and self._gate.active
        self._gate.earlier_known = claims and not self._claimed

    def unknown_from_now(self) -> dict[str, str]:
        """Return the facts that make `recall` begin anew: others may have traded until now."""
        return {"known_since_ms": str(self._clock())} | self.begun_anew(settled=False)

    def begun_anew(self, *, settled: bool) -> dict[str, str]:
        """Return the facts with which another life's end is waited for from now on, unless its
        orders can be seen already (`settled`): how long this pod has been here says nothing of
        them."""
        self._started_ms = self._clock()
        return {"earlier_settled": "yes" if settled else ""}

    def wait_anew(self) -> None:
        """Begin to wait again: the clock was set, and tells no longer how long it has been."""
        self._started_ms = self._set_ms = self._clock()

    async def once(self) -> None:
        """Take the look when it is needed and can be taken.

        Raises:
            JournalError: What it says could not be written.
        """
        if self._gate.earlier_known:
            return
        from_ms = self._clock() - int(self._settings.newborn_s * 1000)
        sight = await self._looker.look(from_ms=from_ms)
        if sight is None:
            self._lose_patience()
        elif self._claimed:
            await self._compare(sight, from_ms=from_ms)
        elif sight.taken_ms >= self._provable_ms(sight):
            await self._remember(sight)

    def find(self, record: Record) -> Verdict | None:
        """Return what an earlier life made of this key, None when it made nothing.

        Raises:
            Settling: The broker is still at it.
            KeyReused: It made something else of it than `record` asks for.
        """
        if self._sight is None or record.operation not in _MARKED:
            return None
        if executing(record, self._sight):
            # The look is too old to tell how it ends: take another.
            self._gate.earlier_known = False
            raise Settling("an earlier pod has sent it, and it is not finished", retry_after_s=5)
        verdict = found(record, self._sight) or standing(record, self._sight)
        if verdict is None and any(
            mark(record, one.comment, one.magic) for one in self._sight.everything
        ):
            raise KeyReused(f"{record.key} was used for another trade", key=record.key)
        return verdict

    def deny(self, account_id: str, key: str) -> None:
        """Return if no earlier life made anything of `key`.

        Raises:
            Settling: That is not known yet.
            KeyOfEarlierLife: It did; only the request itself tells what to look for.
        """
        if not self._gate.earlier_known:
            raise Settling("what an earlier pod has sent is being looked for", retry_after_s=5)
        if self._sight is None:
            return
        token, magic, sight = token_of(account_id, key), magic_of(account_id, key), self._sight
        if any(carries(one.comment, token) or one.magic == magic for one in sight.everything):
            raise KeyOfEarlierLife(
                f"a trade with the key {key} was made, and its journal is lost: send the same"
                " request with the same key, it is answered and not made again",
                key=key,
            )

    def _lose_patience(self) -> None:
        """Trust a journal that knows all, where the terminal does not show what to compare with:
        more than it can tell in one answer, or in time. Nobody put it back, as a rule."""
        connected_ms = self._looker.connected_ms
        if not self._claimed or connected_ms is None:
            return
        tried_ms = self._clock() - max(connected_ms, self._started_ms)
        if tried_ms >= self._settings.compare_patience_s * 1000:
            logger.warning("orders_journal_not_compared", tried_s=tried_ms // 1000)
            self._claimed, self._gate.earlier_known = False, True

    async def _compare(self, sight: Sight, *, from_ms: int) -> None:
        read = self._journal.read
        known_since_ms = int(await read(lambda store: store.fact("known_since_ms")))
        marks = await read(lambda store: store.marks())
        lacking = _lacking(sight, marks, since_ms=max(from_ms, known_since_ms))
        if not lacking:
            self._gate.earlier_known = True
            return
        logger.warning("orders_journal_lacks_trades", orders=lacking[:10], number=len(lacking))
        facts = self.unknown_from_now()
        await self._journal.write(lambda store: store.set_facts(**facts))
        await self.recall()

    async def _remember(self, sight: Sight) -> None:
        facts = {"earlier_settled": "yes"}
        seen: tuple[Order | Deal, ...] = (*sight.all_orders, *sight.deals)
        if not any(is_token(one.comment) or one.magic >= FIRST_OWN_MAGIC for one in seen):
            # Nothing was ever sent before this journal: it knows every key there is.
            facts["known_since_ms"] = "0"
        await self._journal.write(lambda store: store.set_facts(**facts))
        self._settled, self._sight = True, sight
        self._gate.earlier_known = True

    def _provable_ms(self, sight: Sight) -> int:
        last_call_ms = self._started_ms + int(self._settings.call_timeout_s * 1000)
        appeared_ms = 0 if self._settled else last_call_ms
        return max(appeared_ms, sight.connected_ms, self._set_ms) + int(
            self._settings.settle_s * 1000
        )


def _lacking(sight: Sight, marks: Iterable[tuple[str, int]], *, since_ms: int) -> list[int]:
    """Return the orders since then (UTC) that have marks of ours, and none of `marks`."""
    # Where the zone is not known: rather a look too many than a key twice.
    offset_s = -WIDEST_OFFSET_S if sight.utc_offset_s is None else sight.utc_offset_s
    shown_since_ms = since_ms + offset_s * 1000 + CLOCK_TOLERANCE_MS
    known = {start_of(token) for token, _ in marks} | {magic for _, magic in marks}
    return [
        order.ticket
        for order in sight.all_orders
        # A stop has the magic of its position, which may be older than what is remembered.
        if order.time_setup_msc >= shown_since_ms and order.reason in OUR_REASONS
        if (ours := _marks_of(order)) and known.isdisjoint(ours)
    ]


def _marks_of(order: Order) -> set[str | int]:
    own_magic = order.magic >= FIRST_OWN_MAGIC
    return {mark for mark in (start_of(order.comment), own_magic and order.magic) if mark}
