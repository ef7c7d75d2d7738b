# SPDX-License-Identifier: Apache-2.0
"""Which slot trades: take over with a growing epoch, be fenced, hand the journal on."""

import asyncio
from collections.abc import Awaitable, Callable

from mt5_sidecar.errors import InvalidRequest
from mt5_sidecar.orders import handover
from mt5_sidecar.orders.earlier import EarlierLife
from mt5_sidecar.orders.gate import Gate
from mt5_sidecar.orders.journal import Store
from mt5_sidecar.orders.ledger import Ledger


class Activation:
    """What the operator does with a desk, through `/internal/*`."""

    def __init__(
        self,
        ledger: Ledger,
        gate: Gate,
        earlier: EarlierLife,
        turn: asyncio.Lock,
        *,
        clock: Callable[[], int],
        recall_trades: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = ledger.journal
        self._ledger = ledger
        self._gate = gate
        self._earlier = earlier
        self._turn = turn
        self._clock = clock
        self._recall_trades = recall_trades

    @property
    def epoch(self) -> int:
        """Return the last epoch this desk was activated in; 0 for never."""
        return self._gate.epoch

    @property
    def active(self) -> bool:
        """Tell whether this slot trades."""
        return self._gate.active

    async def recall(self) -> None:
        """Be as the journal says: a restart neither activates nor revives a fenced slot."""
        read = self._journal.read
        self._gate.epoch = int(await read(lambda store: store.fact("epoch", "0")))
        self._gate.fenced = bool(await read(lambda store: store.fact("fenced")))
        await self._earlier.recall()

    async def activate(self, epoch: int) -> None:
        """Trade from now on. Repeating it changes nothing.

        In an epoch that follows neither our own last one nor the one we took the keys of, somebody
        else traded in between, and the keys of that time are not here: look for them first.

        Raises:
            Fenced: A later slot has taken over, or this one was fenced in that epoch.
        """
        async with self._turn:
            before = (self._gate.epoch, self._gate.fenced)
            if not self._gate.admit(epoch):
                return
            try:
                known_epoch = max(before[0], await self._adopted_epoch())
                gap = {} if known_epoch == epoch - 1 else self._earlier.unknown_from_now()
                facts = {"epoch": str(epoch), "fenced": ""} | gap
                await self._journal.write(lambda store: store.set_facts(**facts))
            except BaseException:
                self._gate.epoch, self._gate.fenced = before
                raise
            if gap:
                await self._earlier.recall()

    async def fence(self) -> None:
        """Trade no more: refuse at once, return when the last trade has ended and it is on disk."""
        self._gate.fenced = True
        async with self._turn:
            await self._journal.write(lambda store: store.set_facts(fenced="yes"))

    async def export(self) -> bytearray:
        """Return what the account's other slot must know; fence first."""
        return await self._journal.read(lambda store: _exported(store, epoch=self.epoch))

    async def adopt(self, raw: bytes | bytearray) -> None:
        """Take over another slot's journal; what it had open is looked for before trading.

        Raises:
            InvalidRequest: This slot trades.
            JournalForeign, HandoverUnreadable: It is not this account's, or none.
        """
        account = await self._journal.read(lambda store: store.fact("account"))
        taken, records = handover.unpacked(raw, account=account)
        async with self._turn:
            if self.active:
                # An adoption that was slow, and given up: what is in the call now is not theirs.
                raise InvalidRequest("this slot trades: a journal is adopted before it does")
            epoch = max(taken.epoch, await self._adopted_epoch())
            # Not ours if that is older: between our last trade and theirs, a third journal may have
            # been lost. Who had all of our keys says so by naming our own time.
            facts = {"known_since_ms": str(taken.known_since_ms), "adopted_epoch": str(epoch)}
            facts |= self._earlier.begun_anew(settled=taken.earlier_settled)
            self._gate.reconciled = False
            await self._journal.write(lambda store: store.adopt(records, **facts))
            await self._ledger.adopt_unsettled(now_ms=self._clock())
            await self._earlier.recall()
            await self._recall_trades()

    async def _adopted_epoch(self) -> int:
        return int(await self._journal.read(lambda store: store.fact("adopted_epoch", "0")))


def _exported(store: Store, *, epoch: int) -> bytearray:
    about = handover.Handover(
        account=store.fact("account"),
        epoch=epoch,
        known_since_ms=int(store.fact("known_since_ms")),
        earlier_settled=bool(store.fact("earlier_settled")),
    )
    return handover.packed(about, store.rows())
