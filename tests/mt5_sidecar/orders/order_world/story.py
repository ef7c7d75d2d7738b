# SPDX-License-Identifier: Apache-2.0
"""One seed's story: clients, faults, kills, and at the end the truth."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from mt5_sidecar.errors import BridgeError
from mt5_sidecar.orders import (
    Ask,
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
    Outcome,
)
from mt5_sidecar.orders.constants import ORDER_TYPE_BUY_LIMIT, ORDER_TYPE_SELL_STOP
from mt5_sidecar.orders.errors import KeyInFlight, KeyReused, KeyUnknown, OrderError
from mt5_sidecar.orders.planning.waiting_order import STOP_LIMITS
from order_world.broker import COMMENTS
from order_world.house import House
from order_world.judge import Trade, Wrong, judge
from order_world.terminal import LOST, SETTLE_MS, Killed, World

CENT = Decimal("0.01")
TICK = Decimal("0.00001")
_FIELDS = ["sl", "tp", "price"]
# Twice this is less than what the shape of an order may be away from its sending.
MOST_SET_MS = 120_000
OFFSETS = (0, 7200, 10_800, -18_000, None)


Asked = tuple[Ask, tuple[Any, ...]]
"""What a client asks for, and what makes it unique in the broker's book."""


def _as_it_was(ask: Ask) -> Ask:
    return ask


def _with_more_zeros(ask: Ask) -> Ask:
    """Return the same trade as another program writes it: `1.100` is 1.1."""
    fields = msgspec.structs.asdict(ask.body).items()
    longer = {name: value * Decimal("1.00") for name, value in fields if type(value) is Decimal}
    return msgspec.structs.replace(ask, body=msgspec.structs.replace(ask.body, **longer))


def _level(number: int, field: str, *, buy: bool) -> Decimal:
    """Return a stop that nobody else asks for."""
    if field == "sl":
        return (Decimal("0.5") if buy else Decimal(3)) + TICK * number
    return (Decimal("2.5") if buy else Decimal("0.7")) + TICK * number


class Story:
    """Clients of one account, and everything that happens to them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)  # noqa: S311  a replayable story
        self.comments = self.random.choice(COMMENTS)
        self.own_magics = self.random.random() < 0.5
        self.world = World(
            seed,
            comments=self.comments,
            offset_s=self.random.choice(OFFSETS),
            netting=self.random.random() < 0.5,
        )
        self.house = House(self.world, folder)
        self.other: House | None = None
        self.trades: list[Trade] = []
        self.free: list[Trade] = []
        self.count: Counter[str] = Counter()
        self.life = 0
        self.lost_lives: set[int] = set()

    async def run(self, submits: int) -> Counter[str]:
        """Live through `submits` submits, settle, and compare with the book."""
        await self.house.begin()
        await self._wait_until_open()
        while self.count["submits"] < submits:
            await self._chapter()
        await self._ending()
        book = "netting" if self.world.broker.netting else "hedging"
        self.count[f"submits to a {book} account"] += self.count["submits"]
        return self.count

    async def _chapter(self) -> None:
        happening = self.random.choices(_HAPPENINGS, _WEIGHTS)[0]
        await happening(self)
        if self.house.dead:
            await self._restart()

    # What clients do.

    async def submit_new(self) -> None:
        if not self.world.connected and self.random.random() < 0.8:
            self.world.advance(self.random.randrange(30_000))
        self._arm_kill()
        await self._submit(self._any_trade())

    async def retry(self) -> None:
        if trade := self._retried():
            await self._submit(trade, written=self.random.choice([_as_it_was, _with_more_zeros]))

    async def submit_twice_at_once(self) -> None:
        trade = self._any_trade()
        await asyncio.gather(self._submit(trade), self._submit(trade))

    async def submit_several(self) -> None:
        self._arm_kill()
        await asyncio.gather(*(self._submit(self._any_trade()) for _ in range(4)))

    async def change_one_target_twice(self) -> None:
        """Two clients set a stop each, at the same time: each leaves the other's as it is."""
        broker = self.world.broker
        if not broker.positions:
            return
        ticket = self.random.choice(list(broker.positions))
        await asyncio.gather(
            *(
                self._submit(self._trade(lambda n, field=field: self._stop(n, ticket, field)))
                for field in ("sl", "tp")
            )
        )

    async def other_body(self) -> None:
        told = [t for t in self.trades if t.told and t.lives[-1] not in self.lost_lives]
        if not told:
            return
        trade = self.random.choice(told)
        other = Ask("order", NewOrder(symbol="EURUSD", side="buy", type="market", volume=CENT * 77))
        try:
            await self.house.desk.submit(trade.key, other)
        except KeyReused:
            self.count["reused"] += 1
        except Killed:
            return
        else:
            raise Wrong(f"{trade.key} was accepted with another body")

    async def ask(self) -> None:
        if self.trades:
            await self._tell(
                trade := self.random.choice(self.trades),
                lambda: self.house.desk.outcome(trade.key),
            )

    async def give_up_waiting(self) -> None:
        trade = self._any_trade()
        task = asyncio.ensure_future(self._submit(trade))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(50):
            await asyncio.sleep(0)

    async def person_speaks(self) -> None:
        """Somebody answers at random where a person must say, and where nobody need."""
        twins = [t for t in self.trades if t.twins]
        if not twins:
            return
        trade = self.random.choice([t for t in twins if t.final is None] or twins)
        orders = [*trade.twins, *self.world.broker.executed[trade.tag], 0, 1]
        said = self.random.choice(orders)
        before = trade.final
        await self._tell(trade, lambda: self.house.desk.resolve(trade.key, said, by="key:p"))
        if trade.told and trade.told[-1].evidence == "person":
            self.count["words taken"] += before is None

    # What the world does.

    async def strangers_trade_alike(self) -> None:
        """An order whose answer is lost is one of several that nobody can tell apart."""
        if not self.own_magics:
            # The orders of this story are found also when their journal is lost.
            return
        number = len(self.trades) + 1
        volume = CENT * (100 + number)
        tp = Decimal(2) + TICK * number
        body = NewOrder(symbol="EURUSD", side="buy", type="market", volume=volume, tp=tp, magic=7)
        trade = self._trade(lambda _: (Ask("order", body), ("order", round(float(tp), 5))))
        self.house.terminal.fault = self.random.choice(LOST)
        await self._submit(trade)
        for _ in range(2):
            made = self.world.broker.trade_by_hand("EURUSD", 0, float(volume), magic=7, reason=3)
            trade.twins.append(made)

    async def reconcile(self) -> None:
        self.world.advance(self.random.randrange(8000))
        try:
            await self.house.desk.reconcile()
        except (Killed, OrderError):
            self.count["killed"] += 1

    async def time_passes(self) -> None:
        self.world.advance(self.random.randrange(20_000))

    async def link_breaks(self) -> None:
        if self.world.connected:
            self.world.lose_link(self.random.randrange(50, 30_000))

    async def killed(self) -> None:
        await self._restart()

    async def journal_lost(self) -> None:
        if self._leaves_nothing():
            return
        await self._lose_journal()
        await self._restart()
        if self.random.random() < 0.3:
            # What the lost life had in the call may still be on its way.
            await self.moved_to_the_other_slot()

    async def journal_lost_in_the_call(self) -> None:
        """Pod and journal go while an order is on its way; the next pod hands its empty journal to
        a slot that has waited for long, and the client tries again."""
        if self._leaves_nothing():
            return
        await self.other_slot_waits()
        self._disarm()
        await self._wait_until_open()
        self.world.advance(2 * SETTLE_MS)
        trade = self._trade(self._new_order)
        self.house.terminal.fault = "killed_late"
        await self._submit(trade)
        await self._lose_journal()
        await self._begin(wait=False)
        await self.moved_to_the_other_slot()
        await self._submit(trade)

    async def journal_put_back(self) -> None:
        """The pod goes, and its volume comes back from a backup, without the last trades."""
        if self._leaves_nothing():
            return
        self._disarm()
        await self._wait_until_open()
        await self._settle()
        await self.house.kill()
        backup = self.house.settings.journal_file.read_bytes()
        await self._begin()
        first, since = len(self.trades), self.life
        for _ in range(self.random.randrange(1, 5)):
            await self.submit_new()
            if self.house.dead:
                await self._restart()
        await self.house.kill()
        self.house.put_back_journal(backup)
        self.lost_lives |= set(range(since, self.life + 1))
        for trade in self.trades[first:]:
            trade.journal_lost = True
        self.count["journals put back"] += 1
        self.world.restore()
        self.world.advance(4 * SETTLE_MS)
        await self._begin()

    async def disk_is_full(self) -> None:
        store = self.house.store
        assert store is not None
        store.fail_at, store.fail_before = self.random.randrange(1, 4), self.random.random() < 0.5
        trade = self._any_trade()
        for _ in range(self.random.randrange(1, 4)):
            await self._submit(trade)
        store.fail_at = 0

    async def other_slot_waits(self) -> None:
        if self.other is None:
            folder = self.house.settings.journal_file.parent
            self.other = House(self.world, folder, name=f"w{self.life}")
            await self.other.wait()
            self.world.advance(self.random.randrange(60_000))

    async def clock_is_set(self) -> None:
        self.world.set_clock(self.random.randrange(-MOST_SET_MS, MOST_SET_MS))
        self.count["clocks set"] += 1

    async def moved_to_the_other_slot(self) -> None:
        desk = self.house.desk
        try:
            await desk.activation.fence()
            exported = await desk.activation.export()
        except Killed:
            return
        await self.house.kill()
        folder = self.house.settings.journal_file.parent
        self.house = self.other or House(self.world, folder, name=f"m{self.life}")
        self.other = None
        self.house.epoch = desk.activation.epoch + 1
        self.count["moves"] += 1
        await self._begin(adopt=exported)

    async def others_trade(self) -> None:
        volume = float(CENT * self.random.randrange(1, 4))
        magic, reason = self.random.choice([(0, 0), (7, 1), (99, 3)])
        self.world.broker.trade_by_hand(
            "EURUSD", self.random.randrange(2), volume, magic=magic, reason=reason
        )

    async def market_moves(self) -> None:
        broker = self.world.broker
        if broker.positions and self.random.random() < 0.5:
            broker.stop_out(self.random.choice(list(broker.positions)))
        elif waiting := self._waiting():
            broker.trigger(self.random.choice(waiting))

    # How.

    async def _submit(self, trade: Trade, *, written: Callable[[Ask], Ask] = _as_it_was) -> None:
        self.count["submits"] += 1
        await self._tell(trade, lambda: self.house.desk.submit(trade.key, written(trade.ask)))

    async def _tell(self, trade: Trade, ask: Callable[[], Awaitable[Outcome]]) -> None:
        try:
            outcome = await ask()
        except (KeyReused, Wrong) as error:
            raise Wrong(f"{trade.key}: {error!r}") from error
        except KeyUnknown as error:
            if trade.told and trade.lives[-1] not in self.lost_lives:
                raise Wrong(f"{trade.key} was forgotten") from error
        except KeyInFlight:
            self.count["in flight"] += 1
        except (OrderError, BridgeError) as error:
            self.count[type(error).__name__] += 1
        except Killed:
            self.count["killed"] += 1
        else:
            self.count[f"{outcome.outcome} by {outcome.evidence}"] += 1
            trade.told.append(outcome)
            trade.lives.append(self.life)
            judge(trade, self.world.broker)

    def _retried(self) -> Trade | None:
        # A key that was told its end is not used again once its journal is lost (docs/orders.md).
        fit = [
            t for t in self.trades if t.final is None or not self.lost_lives.intersection(t.lives)
        ]
        return self.random.choice(fit) if fit else None

    def _any_trade(self) -> Trade:
        kind = self.random.choices(_ASKS, _ASK_WEIGHTS)[0]
        return self._trade(lambda number: kind(self, number))

    def _trade(self, make: Callable[[int], Asked]) -> Trade:
        number = len(self.trades) + 1
        ask, tag = make(number)
        trade = Trade(f"key-{number}", ask, tag)
        self.trades.append(trade)
        return trade

    def _new_order(self, number: int) -> Asked:
        buy = self.random.random() < 0.5
        kind = self.random.choice(["market", "market", "market", "limit", "stop", "stop_limit"])
        tp = Decimal(2) + TICK * number if buy else Decimal("0.9") - TICK * number
        price = {
            ("limit", True): "1.05", ("limit", False): "1.15",
            ("stop", True): "1.15", ("stop", False): "1.05",
            ("stop_limit", True): "1.15", ("stop_limit", False): "1.05",
        }.get((kind, buy))  # fmt: skip
        beyond = None if kind != "stop_limit" else Decimal("1.12" if buy else "1.08")
        magic = self.random.choice([7, 8]) if self.own_magics else None
        body = NewOrder(
            symbol="EURUSD", side="buy" if buy else "sell", type=kind,  # type: ignore[arg-type]
            volume=CENT * self.random.randrange(1, 4), tp=tp, magic=magic,
            price=Decimal(price) if price else None, stop_limit_price=beyond,
        )  # fmt: skip
        return Ask("order", body), ("order", round(float(tp), 5))

    def _close(self, number: int) -> Asked:
        if not self.world.broker.positions:
            return self._new_order(number)
        ticket = self.random.choice(list(self.world.broker.positions))
        volume = CENT if self.random.random() < 0.3 else None
        body = ClosePosition(deviation=number, volume=volume)
        return Ask("close_position", body, ticket), ("close", number)

    def _close_by(self, number: int) -> Asked:
        asked = {t.tag for t in self.trades}
        held = self.world.broker.positions.values()
        tags = (("close_by", a.ticket, b.ticket) for a in held for b in held if a.type < b.type)
        pairs = [tag for tag in tags if tag not in asked]
        if self.world.broker.netting or not pairs:
            return self._new_order(number)
        tag = self.random.choice(pairs)
        return Ask("close_by", CloseBy(position_by=tag[2]), tag[1]), tag

    def _protect(self, number: int) -> Asked:
        broker = self.world.broker
        if not broker.positions:
            return self._new_order(number)
        ticket = self.random.choice(list(broker.positions))
        return self._stop(number, ticket, self.random.choice(["sl", "tp"]))

    def _stop(self, number: int, ticket: int, field: str) -> Asked:
        level = _level(number, field, buy=self.world.broker.positions[ticket].type == 0)
        ask = Ask("modify_position", ModifyPosition(**{field: level}), ticket)
        return ask, ("sltp", field, round(float(level), 5))

    def _change(self, number: int) -> Asked:
        waiting = self._waiting()
        if not waiting:
            return self._new_order(number)
        order = self.world.broker.orders[self.random.choice(waiting)]
        field = self.random.choice(["sl", "tp"] if order.type in STOP_LIMITS else _FIELDS)
        if field == "price":
            below = order.type in (ORDER_TYPE_BUY_LIMIT, ORDER_TYPE_SELL_STOP)
            level = Decimal("1.05") - TICK * number if below else Decimal("1.15") + TICK * number
        else:
            level = _level(number, field, buy=order.type % 2 == 0)
        ask = Ask("modify_order", ModifyOrder(**{field: level}), order.ticket)
        name = {"price": "price_open"}.get(field, field)
        return ask, ("modify", name, round(float(level), 5))

    def _remove(self, number: int) -> Asked:
        removed = {t.ask.ticket for t in self.trades if t.ask.operation == "cancel_order"}
        left = [ticket for ticket in self._waiting() if ticket not in removed]
        if not left:
            return self._new_order(number)
        ticket = self.random.choice(left)
        return Ask("cancel_order", CancelOrder(), ticket), ("remove", ticket)

    def _waiting(self) -> list[int]:
        return [ticket for ticket, order in self.world.broker.orders.items() if order.state == 1]

    def _arm_kill(self) -> None:
        if self.house.store is not None and self.random.random() < 0.05:
            self.house.store.kill_at = self.random.randrange(1, 4)
            self.house.store.kill_before = self.random.random() < 0.5

    def _disarm(self) -> None:
        if self.house.store is not None:
            self.house.store.kill_at = 0

    async def _restart(self) -> None:
        await self.house.kill()
        await self._begin()

    def _leaves_nothing(self) -> bool:
        # A broker that rewrites comments leaves nothing of an order whose magic the client chose.
        return self.own_magics and self.comments in ("drop", "mixed")

    async def _lose_journal(self) -> None:
        await self.house.kill()
        self.house.lose_journal()
        self.lost_lives |= set(range(self.life + 1))
        self.count["journals lost"] += 1
        for trade in self.trades:
            trade.journal_lost = True

    async def _begin(self, *, adopt: bytes | None = None, wait: bool = True) -> None:
        self.life += 1
        self.count["lives"] += 1
        self.world.advance(self.random.randrange(3000))
        await self.house.begin(adopt=adopt)
        if wait and self.random.random() < 0.7:
            await self._wait_until_open()

    async def _wait_until_open(self) -> None:
        for _ in range(20):
            if self.house.desk.ready:
                return
            self.world.advance(2000)
            await self.house.desk.reconcile()

    async def _settle(self) -> None:
        self.house.terminal.quiet = True
        self._disarm()
        self.world.restore()
        for _ in range(20):
            self.world.advance(SETTLE_MS // 3)
            await self.house.desk.reconcile()
        for _ in range(60):
            if "Ambiguous" not in self.house.desk.unknown.values():
                break
            # A history that lacks a known order is waited for, for ten minutes.
            self.world.advance(SETTLE_MS)
            await self.person_speaks()
        if self.house.desk.unknown:
            raise Wrong(f"still unknown: {self.house.desk.unknown}")

    async def _ending(self) -> None:
        await self._settle()
        for trade in self.trades:
            await self._tell(trade, lambda key=trade.key: self.house.desk.outcome(key))  # type: ignore[misc]
        await self._settle()
        for trade in self.trades:
            count = len(trade.told)
            await self._tell(trade, lambda key=trade.key: self.house.desk.outcome(key))  # type: ignore[misc]
            if len(trade.told) > count and not trade.told[-1].final:
                raise Wrong(f"nobody looks for {trade.key}: {trade.told[-1]}")
            judge(trade, self.world.broker)
        await self.house.desk.stop()
        if self.other is not None:
            await self.other.desk.stop()


_ASKS = (
    Story._new_order, Story._close, Story._protect, Story._change, Story._remove, Story._close_by,
)  # fmt: skip
_ASK_WEIGHTS = (60, 12, 10, 8, 7, 6)
_HAPPENINGS = (
    Story.submit_new, Story.retry, Story.submit_twice_at_once, Story.submit_several,
    Story.other_body, Story.ask, Story.give_up_waiting, Story.reconcile, Story.time_passes,
    Story.link_breaks, Story.killed, Story.journal_lost, Story.moved_to_the_other_slot,
    Story.others_trade, Story.market_moves, Story.change_one_target_twice,
    Story.other_slot_waits, Story.clock_is_set, Story.journal_lost_in_the_call,
    Story.journal_put_back, Story.disk_is_full, Story.strangers_trade_alike,
    Story.person_speaks,
)  # fmt: skip
_WEIGHTS = (40, 18, 4, 4, 2, 6, 2, 18, 4, 2, 1, 0.3, 0.4, 5, 5, 3, 0.4, 0.5, 0.3, 0.3, 1, 1, 4)


def live(seed: int, folder: Path, *, submits: int) -> Counter[str]:
    """Live through one seed; raise Wrong, with the seed, when the order core breaks its word."""
    try:
        return asyncio.run(Story(seed, folder).run(submits))
    except Wrong as error:
        raise Wrong(f"seed {seed}: {error}") from error
