# SPDX-License-Identifier: Apache-2.0
"""Resolve what is unknown by looking, for as long as it takes; never by sending again."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

from mt5_sidecar.logs import logger
from mt5_sidecar.orders.bodies import Operation
from mt5_sidecar.orders.decisions import as_said, decide
from mt5_sidecar.orders.errors import JournalError, NotAmbiguous, Settling
from mt5_sidecar.orders.gate import Gate
from mt5_sidecar.orders.ledger import Ledger
from mt5_sidecar.orders.looking import Looker
from mt5_sidecar.orders.outcomes import Outcome, Wait
from mt5_sidecar.orders.records import Record, told
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.sight import Sight

_BY_TARGET = ("modify_order", "cancel_order")
# Their orders prove that history is whole.
_IN_HISTORY: Final[tuple[Operation, ...]] = ("order", "close_position")


class Reconciler:
    """One pass looks once and judges every open record by that look."""

    def __init__(
        self,
        ledger: Ledger,
        looker: Looker,
        gate: Gate,
        settings: OrderSettings,
        turn: asyncio.Lock,
        *,
        clock: Callable[[], int],
        steady: Callable[[], int],
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._ledger = ledger
        self._looker = looker
        self._gate = gate
        self._settings = settings
        self._turn = turn
        # Two that judge at once would let two keys have the same order.
        self._judging = asyncio.Lock()
        self._clock = clock
        self._steady = steady
        self._on_outcome = on_outcome
        self._compacted_ms = steady()
        self._apart_ms = clock() - steady()

    async def once(self) -> None:
        """Look, if anything is open, and close what the look decides.

        Raises:
            JournalError: A finding could not be written; it stays open.
        """
        async with self._judging:
            if self._ledger.open:
                sight = await self._look()
                if sight is None:
                    return
                for key in list(self._ledger.open):
                    sight = await self._judge(key, sight)
            self._gate.reconciled = True

    async def resolve(self, key: str, order: int, *, by: str) -> Outcome:
        """Close an open record by a person's word: it is `order`, or none (0) of those it may be.

        Raises:
            Fenced: The other slot looks for it, and may be told something else.
            NotAmbiguous, NotACandidate, Settling: See `as_said`.
            JournalError: It could not be written; it stays open.
        """
        async with self._judging:
            self._resolvable(key)
            sight = await self._look()
            # The keys of a slot that is fenced meanwhile are handed over as they are.
            async with self._turn:
                record = self._resolvable(key)
                if sight is None:
                    raise Settling("the terminal cannot be looked at now", retry_after_s=1)
                verdict = as_said(record, sight, self._settings, order=order, by=by)
                ended = await self._ledger.settle(record, verdict, now_ms=self._clock())
        logger.info("order_resolved", key=key, outcome=verdict.outcome, order=order, by=by)
        outcome = told(ended)
        self._on_outcome(outcome)
        return outcome

    def _resolvable(self, key: str) -> Record:
        self._gate.check_active()
        if (record := self._ledger.open.get(key)) is None:
            raise NotAmbiguous(f"what became of {key} is known")
        return record

    async def forever(
        self, sleep: Callable[[float], Awaitable[None]], *, first: Callable[[], Awaitable[None]]
    ) -> None:
        """Go on until cancelled; a failing disk or terminal ends a pass, not the loop.

        `first` is done at the beginning of each pass.
        """
        while True:
            try:
                await first()
                await self.once()
                await self._compact()
                await self._ledger.journal.try_again()
            except JournalError as error:
                logger.error("orders_journal_failed", error=error.detail, kind=error.slug)
            except Exception as error:  # noqa: BLE001  the last hope of every unknown order
                logger.error("orders_reconciler_failed", error=repr(error))
            await sleep(self._settings.reconcile_interval_s)

    async def _look(self) -> Sight | None:
        open_records = list(self._ledger.open.values())
        from_ms = min(record.sent_ms or record.created_ms for record in open_records)
        day_before_ms = from_ms - int(self._settings.window_before_s * 1000)
        read = self._ledger.journal.read
        known = await read(lambda store: store.order_tickets(day_before_ms, *_IN_HISTORY))
        pairs = await read(lambda store: store.order_tickets(day_before_ms, "close_by"))
        targets = [r.ask.ticket for r in open_records if r.operation in _BY_TARGET]
        return await self._looker.look(from_ms=from_ms, known=known, claimed=pairs, targets=targets)

    async def _judge(self, key: str, sight: Sight) -> Sight:
        record = self._ledger.open.get(key)
        # What was sent after the look began cannot be judged by it.
        if record is None or record.sent_ms > sight.taken_ms:
            return sight
        verdict = decide(record, sight, self._settings)
        if isinstance(verdict, Wait):
            self._ledger.waiting[key] = verdict
            return sight
        ended = await self._ledger.settle(record, verdict, now_ms=self._clock())
        logger.info("order_reconciled", key=key, outcome=verdict.outcome, by=verdict.evidence)
        self._on_outcome(told(ended))
        return dataclasses.replace(sight, claimed=sight.claimed | {verdict.order})

    async def _compact(self) -> None:
        steady_ms = self._steady()
        if steady_ms - self._compacted_ms < self._settings.compact_interval_s * 1000:
            return
        self._compacted_ms = steady_ms
        # A clock that is set forward makes all keys old at once; a forgotten one is sent again.
        now_ms = min(self._clock(), self._apart_ms + steady_ms)
        await self._ledger.journal.compact(now_ms - int(self._settings.retention_s * 1000))
