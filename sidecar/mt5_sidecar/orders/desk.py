# SPDX-License-Identifier: Apache-2.0
"""The order desk: the one way to trade. It sends an order at most once, and never forgets one."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from mt5_agent.protocol import OrderCheckResult
from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.domain.shares import shares
from mt5_sidecar.logs import logger
from mt5_sidecar.orders.activation import Activation
from mt5_sidecar.orders.bodies import Ask
from mt5_sidecar.orders.earlier import EarlierLife
from mt5_sidecar.orders.errors import (
    Busy,
    Fenced,
    JournalError,
    KeyInFlight,
    KeyReused,
    KeyUnknown,
    LookalikeUnknown,
)
from mt5_sidecar.orders.gate import Gate
from mt5_sidecar.orders.journal import Journal
from mt5_sidecar.orders.keys import checked_key
from mt5_sidecar.orders.ledger import Ledger
from mt5_sidecar.orders.looking import Looker
from mt5_sidecar.orders.market import Market
from mt5_sidecar.orders.outcomes import Outcome, Verdict
from mt5_sidecar.orders.ports import Terminal
from mt5_sidecar.orders.preparing import Preparer
from mt5_sidecar.orders.reconciling import Reconciler
from mt5_sidecar.orders.records import Record, draft, told
from mt5_sidecar.orders.rules.account import MINUTE_MS, check_enabled, check_rate
from mt5_sidecar.orders.running import Running
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.steps import Steps, monotonic_ms
from mt5_sidecar.orders.targets import as_asked_already
from mt5_sidecar.orders.verdicts import from_error, from_result


class OrderDesk:
    """One account's desk. Trades go one at a time, as the terminal takes them.

    Make it, `await start()`, keep a task in `reconcile_forever()`, `await stop()` at the end.
    """

    def __init__(
        self,
        journal: Journal,
        terminal: Terminal,
        *,
        account_id: str,
        trading: Callable[[], Trading],
        settings: OrderSettings,
        clock: Callable[[], int] = now_ms,
        steady: Callable[[], int] = monotonic_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_outcome: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        """Trade for `account_id` as far as `trading()` allows; `on_outcome` gets each outcome,
        and again when an unknown one is resolved."""
        self._terminal = terminal
        self._account_id = account_id
        self._trading = trading
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._steps = Steps(clock, steady)
        self._sleep = sleep
        self._on_outcome = on_outcome
        self._gate = Gate()
        self._turn = asyncio.Lock()
        # Trades that had their turn: what was read of the account before the last one is old.
        self._turns = 0
        self._running = Running()
        self._shares = shares(
            settings.max_waiting, kept_ratio=settings.kept_ratio, kept_keys=settings.kept_keys
        )
        self._ledger = Ledger(journal)
        self._market = Market(terminal, settings, sleep, steady)
        self._preparer = Preparer(self._market, settings)
        looker = Looker(terminal, settings, clock)
        self._earlier = EarlierLife(journal, looker, self._gate, settings, clock=clock)
        self._reconciler = Reconciler(
            self._ledger,
            looker,
            self._gate,
            settings,
            self._turn,
            clock=clock,
            steady=steady,
            on_outcome=on_outcome,
        )
        self.activation = Activation(
            self._ledger,
            self._gate,
            self._earlier,
            self._turn,
            clock=clock,
            recall_trades=self._recall_trades,
        )

    async def start(self) -> None:
        """Open the journal and take up what is open; reconciling begins with the first pass.

        Raises:
            JournalError: Nobody may trade on it; the class says why.
        """
        await self._ledger.journal.open()
        await self.activation.recall()
        await self._ledger.adopt_unsettled(now_ms=self._clock())
        await self._recall_trades()

    async def stop(self) -> None:
        """Refuse what is new, finish what is being sent, and close the journal."""
        self._gate.stopping = True
        await self._running.finished()
        await self._ledger.journal.close()

    async def submit(self, key: str, ask: Ask, *, by: str = "") -> Outcome:
        """Carry out `ask` once in the life of `key`, and return what became of it.

        The trade goes on when the caller is cancelled: ask for its outcome later. `by`: who asks;
        nobody's trades fill the line so that there is no place for others'.

        Raises:
            KeyReused, KeyInFlight: The key says something else.
            OrderError, mt5_sidecar.errors.BridgeError: Nothing was sent, and the key is free.
        """
        wanted = draft(self._account_id, checked_key(key), ask)
        if (earlier := self._running.fingerprint(key)) is not None:
            _check_same(wanted, earlier)
            raise KeyInFlight(f"{key} is being carried out", key=key, retry_after_s=1)
        if not self._may_wait(by):
            return await self._replayed(wanted)
        return await self._running.run(key, wanted.fingerprint, self._carry_out(wanted), by=by)

    async def check(self, ask: Ask) -> OrderCheckResult:
        """Return what the terminal thinks of `ask`; nothing is sent and nothing written.

        Raises:
            As `submit`, for what does not fit; mt5_sidecar.errors.Unavailable: not now.
        """
        wanted = await self._planned(draft(self._account_id, "check", ask))
        result: OrderCheckResult = await self._terminal.call("order_check", dict(wanted.request))
        return result

    async def outcome(self, key: str) -> Outcome:
        """Return what became of `key`, or what it waits for.

        Raises:
            KeyInFlight: It is being looked at just now.
            Fenced: Another slot trades, and may have sent it since.
            Settling, KeyOfEarlierLife: The journal is new, and an earlier life may have sent it.
            KeyUnknown: It was never sent, or is forgotten.
        """
        record = await self._ledger.journal.get(checked_key(key))
        if record is not None:
            if self._running.fingerprint(key) is None:
                self._ledger.take_up(record)
            return self._told_again(record)
        if self._running.fingerprint(key) is not None:
            raise KeyInFlight(f"{key} is being carried out", key=key, retry_after_s=1)
        self._gate.check_active()
        self._earlier.deny(self._account_id, key)
        raise KeyUnknown(f"no trade with the key {key} is remembered", key=key)

    async def resolve(self, key: str, order: int, *, by: str) -> Outcome:
        """Take a person's word for what became of `key`: `order`, or none (0) of the candidates.

        Nothing is sent. What is settled stays as it is; saying the same again is answered with it.

        Raises:
            KeyInFlight: It is being looked at just now.
            KeyUnknown: It was never sent, or is forgotten.
            NotAmbiguous, NotACandidate, NotTrading, JournalError: Nothing was changed.
        """
        record = await self._ledger.journal.get(checked_key(key))
        if self._running.fingerprint(key) is not None:
            raise KeyInFlight(f"{key} is being carried out", key=key, retry_after_s=1)
        if record is None:
            self._gate.check_active()
            raise KeyUnknown(f"no trade with the key {key} is remembered", key=key)
        if record.settled and _said(record, order):
            return told(record, replayed=True)
        work = self._reconciler.resolve(key, order, by=by)
        return await self._running.run(key, record.fingerprint, work, by=by)

    async def reconcile(self) -> None:
        """Make one pass over what is unknown."""
        await self._begin_pass()
        await self._reconciler.once()

    async def reconcile_forever(self) -> None:
        """Resolve what is unknown, and forget what is old, until cancelled."""
        await self._reconciler.forever(self._sleep, first=self._begin_pass)

    @property
    def waiting(self) -> int:
        """How many trades are being carried out or wait for their turn."""
        return len(self._running)

    @property
    def ready(self) -> bool:
        """Tell whether a trade would be taken now, as far as this desk and the terminal go."""
        connected = self._terminal.connection.connected
        return self._gate.open and connected and self.journal_fault is None

    @property
    def journal_fault(self) -> JournalError | None:
        """Return why trades are refused for the journal; None while it is well."""
        return self._ledger.journal.fault

    @property
    def unknown(self) -> dict[str, str]:
        """Return the keys whose outcome is open, and why it still is."""
        waiting = self._ledger.waiting
        return {key: waiting[key].reason if key in waiting else "" for key in self._ledger.open}

    async def _begin_pass(self) -> None:
        if step_ms := self._steps.seen_ms():
            logger.warning("clock_was_set", by_s=step_ms / 1000)
            self._ledger.wait_anew(now_ms=self._clock())
            self._earlier.wait_anew()
        await self._earlier.once()

    def _told_again(self, record: Record) -> Outcome:
        waits_for = self._ledger.waiting.get(record.key)
        return told(record, replayed=True, waits_for=waits_for)

    def _may_wait(self, by: str) -> bool:
        return self._shares.allow(
            all_keys=len(self._running) + 1, this_key=self._running.taken[by] + 1
        )

    async def _replayed(self, wanted: Record) -> Outcome:
        """Answer a key that is known, while there is room for no other."""
        known = await self._ledger.journal.get(wanted.key)
        if known is None:
            raise Busy(
                f"{len(self._running)} trades wait already, as many as this caller may add to",
                retry_after_s=1,
            )
        _check_same(wanted, known.fingerprint)
        return self._told_again(known)

    async def _carry_out(self, wanted: Record) -> Outcome:
        known = await self._ledger.journal.get(wanted.key)
        if known is not None:
            _check_same(wanted, known.fingerprint)
            self._ledger.take_up(known)
            return self._told_again(known)
        self._check_open()
        if verdict := self._earlier.find(wanted):
            return await self._met_again(wanted, verdict)
        epoch, basis, began_ms = self._gate.epoch, self._basis(), self._steady()
        planned = await self._planned(wanted)
        async with self._turn:
            try:
                if self._gate.epoch != epoch:
                    # Another slot may have traded under this key, and nobody has looked since.
                    raise Fenced("this slot was activated anew", epoch=epoch, retry_after_s=1)
                if self._basis() != basis or self._is_old(began_ms):
                    # "What is left out stays" means as the trade before left it.
                    planned = await self._planned(wanted)
                return await self._send(planned)
            finally:
                self._turns += 1

    async def _recall_trades(self) -> None:
        """Know of the last trades of an earlier life or another slot: ours may not show them."""
        since_ms = self._clock() - self._settings.proof_ms
        for record in await self._ledger.journal.read(lambda store: store.since(since_ms)):
            self._market.made(record, record.verdict, began_ms=self._steady())

    def _is_old(self, began_ms: int) -> bool:
        return self._steady() - began_ms > self._settings.plan_max_age_s * 1000

    def _basis(self) -> tuple[int, Trading]:
        """Return what a plan is made on: what was traded before it, and what may be traded."""
        return self._turns, self._trading()

    async def _planned(self, wanted: Record) -> Record:
        plan = await self._preparer.plan(
            wanted,
            trading=self._trading(),
            utc_offset_s=self._terminal.connection.utc_offset_s,
            now_ms=self._clock(),
        )
        return msgspec.structs.replace(wanted, request=plan.request, context=plan.context)

    async def _met_again(
        self, wanted: Record, verdict: Verdict, *, replayed: bool = True
    ) -> Outcome:
        now = self._clock()
        record = msgspec.structs.replace(
            wanted, state="outcome", verdict=verdict, created_ms=now, sent_ms=now, ended_ms=now
        )
        await self._ledger.journal.insert(record)
        return told(record, replayed=replayed)

    async def _send(self, planned: Record) -> Outcome:
        # Much may have changed while it waited for its turn.
        self._check_open()
        if verdict := self._earlier.find(planned):
            return await self._met_again(planned, verdict)
        if other := self._ledger.alike(planned):
            raise LookalikeUnknown(
                f"the outcome of {other.key}, a trade just like this one, is unknown",
                other_key=other.key,
                retry_after_s=5,
            )
        if as_asked_already(planned):
            done = Verdict(outcome="Done", evidence="state", reason="AlreadyAsAsked")
            return await self._met_again(planned, done, replayed=False)
        await self._check_rate(planned)
        now = self._clock()
        began_ms = self._steady()
        sent = await self._ledger.begin(planned, now_ms=now, epoch=self._gate.epoch)
        verdict = await self._called(sent)
        ended = await self._ledger.end(sent, verdict, now_ms=self._clock())
        self._market.made(sent, verdict, began_ms=began_ms)
        outcome = told(ended)
        self._on_outcome(outcome)
        return outcome

    async def _called(self, record: Record) -> Verdict:
        try:
            result = await self._terminal.call("order_send", dict(record.request))
            return from_result(record, result)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the order may be made
            return from_error(error)

    async def _check_rate(self, planned: Record) -> None:
        trading, now = self._trading(), self._clock()
        if planned.operation != "order" or trading.orders_per_minute is None:
            return
        times = await self._ledger.journal.read(
            lambda store: store.new_order_times(now - MINUTE_MS)
        )
        check_rate(times, now_ms=now, trading=trading)

    def _check_open(self) -> None:
        self._gate.check()
        self._ledger.journal.check_sound()
        check_enabled(self._trading())
        if not self._terminal.connection.connected:
            raise self._terminal.unavailable()


def _check_same(wanted: Record, fingerprint: str) -> None:
    if wanted.fingerprint != fingerprint:
        raise KeyReused(f"{wanted.key} was used with another body", key=wanted.key)


def _said(record: Record, order: int) -> bool:
    return record.verdict.evidence == "person" and record.verdict.order == order
