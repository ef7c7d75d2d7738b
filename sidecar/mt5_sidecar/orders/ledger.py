# SPDX-License-Identifier: Apache-2.0
"""The journal's open end: what is unknown now, and how it is closed."""

import msgspec

from mt5_sidecar.orders.errors import JournalError
from mt5_sidecar.orders.journal import Journal
from mt5_sidecar.orders.outcomes import Verdict, Wait
from mt5_sidecar.orders.records import Record, shape
from mt5_sidecar.orders.verdicts import not_sent, unknown


class Ledger:
    """Records on disk, and in memory those that somebody must still look for."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.open: dict[str, Record] = {}
        self.waiting: dict[str, Wait] = {}

    async def begin(self, record: Record, *, now_ms: int, epoch: int) -> Record:
        """Make the intent durable, then that it is being sent; only then may it be sent.

        Raises:
            JournalError: It may not.
        """
        intent = msgspec.structs.replace(record, state="intent", created_ms=now_ms, epoch=epoch)
        await self.journal.insert(intent)
        sent = msgspec.structs.replace(intent, state="sent", sent_ms=now_ms)
        try:
            await self.journal.update(sent)
        except JournalError:
            # Not called, whatever the disk says later: the reconciler will write that down.
            self.open[record.key] = intent
            raise
        return sent

    async def end(self, record: Record, verdict: Verdict, *, now_ms: int) -> Record:
        """Record the verdict, and return the record as it is to be told: as it is on disk."""
        # A clock that was set back meanwhile would let no look judge it.
        record = msgspec.structs.replace(
            record, sent_ms=min(record.sent_ms, now_ms), ended_ms=now_ms
        )
        ended = msgspec.structs.replace(record, state="outcome", verdict=verdict)
        try:
            await self.journal.update(ended)
        except JournalError as error:
            verdict = unknown(f"the outcome could not be written: {error.detail}")
            ended = msgspec.structs.replace(record, verdict=verdict)
        self.note(ended)
        return ended

    async def settle(self, record: Record, verdict: Verdict, *, now_ms: int) -> Record:
        """Record what a look has found.

        Raises:
            JournalError: It is not on disk, so it stays open.
        """
        ended = msgspec.structs.replace(record, state="outcome", verdict=verdict, ended_ms=now_ms)
        await self.journal.update(ended)
        self.note(ended)
        return ended

    async def adopt_unsettled(self, *, now_ms: int) -> None:
        """Take up what the journal holds open, and that alone: another slot may have settled the
        rest. What was never called was not sent."""
        unsettled = await self.journal.read(lambda store: store.unsettled())
        self.open = {record.key: record for record in unsettled}
        self.waiting.clear()
        for record in unsettled:
            if record.state == "intent":
                verdict = not_sent("NeverCalled", "the sidecar ended first", evidence_of_call=False)
                await self.settle(record, verdict, now_ms=now_ms)
            elif record.state == "sent":
                await self.settle(record, unknown("the sidecar ended meanwhile"), now_ms=now_ms)
            else:
                self.note(record)
        self.wait_anew(now_ms=now_ms)

    def take_up(self, record: Record) -> None:
        """Have a record settled that nobody carries out now, and that was never called.

        A write that is told to have failed may be on disk all the same.
        """
        if record.state == "intent":
            self.open.setdefault(record.key, record)

    def wait_anew(self, *, now_ms: int) -> None:
        """Have what is open wait from now on. Its times are of another clock: an earlier life's,
        another node's, or this one's before it was set."""
        for key, record in self.open.items():
            sent_ms = min(record.sent_ms, now_ms)
            self.open[key] = msgspec.structs.replace(record, sent_ms=sent_ms, ended_ms=now_ms)

    def note(self, record: Record) -> None:
        """Keep in mind what is open, and forget what is settled."""
        self.waiting.pop(record.key, None)
        if record.settled:
            self.open.pop(record.key, None)
        else:
            self.open[record.key] = record

    def alike(self, record: Record) -> Record | None:
        """Return an open record that nobody could tell from `record` at the broker."""
        wanted = shape(record)
        return next((known for known in self.open.values() if shape(known) == wanted), None)
