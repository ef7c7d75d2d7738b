# SPDX-License-Identifier: Apache-2.0
import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from order_world.house import House
from order_world.records import symbol_info
from order_world.terminal import Killed, World

from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.errors import (
    InvalidRequest,
    TerminalRefused,
    TerminalTimeout,
    TerminalUnavailable,
    TradingDisabled,
    UnknownSymbol,
)
from mt5_sidecar.orders import (
    Ask,
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
    OrderDesk,
)
from mt5_sidecar.orders.errors import (
    BadKey,
    BrokenLimit,
    Busy,
    Fenced,
    JournalFailed,
    JournalForeign,
    KeyInFlight,
    KeyOfEarlierLife,
    KeyReused,
    KeyUnknown,
    LookalikeUnknown,
    NoPrice,
    OverLimit,
    Reconciling,
    Settling,
    Stopping,
    TooManyOrders,
    UnknownTarget,
)
from mt5_sidecar.orders.requests import request

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def buy(volume: str = "0.1", **fields: Any) -> Ask:
    body = NewOrder(symbol="EURUSD", side="buy", type="market", volume=Decimal(volume), **fields)
    return Ask("order", body)


class Shop(House):
    """A house whose calls are all good unless a test says otherwise."""

    async def opened(self) -> "Shop":
        await self.begin()
        self.terminal.quiet = True
        for _ in range(20):
            if not self.desk.ready:
                self.world.advance(2000)
                await self.desk.reconcile()
        return self

    @property
    def sends(self) -> int:
        return self.terminal.calls.count("order_send")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = await Shop(World(1), tmp_path).opened()
    yield made
    if not made.dead:
        await made.desk.stop()


async def test_a_key_sends_once_and_answers_the_same_for_ever(shop: Shop) -> None:
    first = await shop.desk.submit("k", buy())
    again = await shop.desk.submit("k", buy("0.10"))

    assert (first.outcome, first.replayed, again.replayed) == ("Done", False, True)
    assert (again.order, again.time, again.volume) == (first.order, first.time, first.volume)
    assert shop.sends == 1


async def test_a_key_with_another_body_is_refused_and_sends_nothing(shop: Shop) -> None:
    await shop.desk.submit("k", buy())

    with pytest.raises(KeyReused):
        await shop.desk.submit("k", buy("0.2"))

    assert shop.sends == 1


async def test_a_clock_that_is_set_forward_makes_no_key_be_forgotten(shop: Shop) -> None:
    await shop.desk.submit("k", buy())

    shop.world.set_clock(40 * DAY_MS)
    shop.world.advance(2 * HOUR_MS)
    keeping = asyncio.ensure_future(shop.desk.reconcile_forever())
    for _ in range(50):
        await asyncio.sleep(0)
    keeping.cancel()

    assert (await shop.desk.submit("k", buy())).replayed
    assert shop.sends == 1


async def test_a_key_that_is_being_carried_out_is_in_flight(shop: Shop) -> None:
    first = asyncio.ensure_future(shop.desk.submit("k", buy()))
    await asyncio.sleep(0)

    with pytest.raises(KeyInFlight):
        await shop.desk.submit("k", buy())
    with pytest.raises(KeyReused):
        await shop.desk.submit("k", buy("0.2"))

    assert (await first).outcome == "Done"
    assert shop.sends == 1


async def test_a_caller_that_goes_away_does_not_stop_the_order(shop: Shop) -> None:
    caller = asyncio.ensure_future(shop.desk.submit("k", buy()))
    await asyncio.sleep(0)
    caller.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await caller
    await shop.desk._running.finished()
    await shop.desk.stop()

    again = await Shop(shop.world, shop.settings.journal_file.parent).opened()

    assert (await again.desk.outcome("k")).outcome == "Done"
    await again.desk.stop()


async def test_the_outcome_of_a_key_can_be_asked_for_days_later(shop: Shop) -> None:
    sent = await shop.desk.submit("k", buy(comment="mine"))
    shop.world.advance(5 * 86_400_000)

    told = await shop.desk.outcome("k")

    assert (told.order, told.comment, told.replayed) == (sent.order, "mine", True)
    with pytest.raises(KeyUnknown):
        await shop.desk.outcome("other")


@pytest.mark.parametrize("key", ["", "a b"])
async def test_a_trade_needs_a_key(shop: Shop, key: str) -> None:
    with pytest.raises(BadKey):
        await shop.desk.submit(key, buy())


async def test_trading_is_off_until_asked_for(shop: Shop) -> None:
    shop.trading = Trading()

    with pytest.raises(TradingDisabled):
        await shop.desk.submit("k", buy())
    with pytest.raises(TradingDisabled):
        await shop.desk.submit("c", Ask("close_position", ClosePosition(), 1))

    assert shop.sends == 0


async def test_the_accounts_limits_hold_for_new_orders(shop: Shop) -> None:
    shop.trading = Trading(enabled=True, max_volume="0.1", orders_per_minute=2)

    with pytest.raises(OverLimit):
        await shop.desk.submit("big", buy("0.11"))
    for key in ("a", "b"):
        await shop.desk.submit(key, buy())
    with pytest.raises(TooManyOrders):
        await shop.desk.submit("c", buy())
    shop.world.advance(61_000)

    assert (await shop.desk.submit("c", buy())).outcome == "Done"


async def test_closing_is_never_too_much(shop: Shop) -> None:
    opened = await shop.desk.submit("k", buy())
    shop.trading = Trading(enabled=True, symbols=[], orders_per_minute=0, max_volume="0.01")
    assert opened.position

    closed = await shop.desk.submit("c", Ask("close_position", ClosePosition(), opened.position))

    assert closed.outcome == "Done"
    assert shop.world.broker.positions == {}


async def test_a_broken_limit_sends_nothing_and_leaves_the_key_free(shop: Shop) -> None:
    with pytest.raises(BrokenLimit):
        await shop.desk.submit("k", buy("0.015"))

    assert (await shop.desk.submit("k", buy())).outcome == "Done"


async def test_without_a_link_nothing_is_sent_and_the_key_stays_free(shop: Shop) -> None:
    shop.world.lose_link(1000)

    with pytest.raises(TerminalUnavailable):
        await shop.desk.submit("k", buy())
    shop.world.advance(1000)

    assert (await shop.desk.submit("k", buy())).outcome == "Done"


async def test_an_unknown_symbol_and_an_unknown_ticket_are_told_apart(shop: Shop) -> None:
    def missing(_name: str) -> Any:
        raise TerminalRefused("not found", code=-4)

    shop.terminal._symbol_info = missing  # type: ignore[method-assign]

    with pytest.raises(UnknownSymbol):
        await shop.desk.submit("a", buy())
    with pytest.raises(UnknownTarget):
        await shop.desk.submit("b", Ask("cancel_order", CancelOrder(), 999))


async def test_a_symbol_that_the_terminal_does_not_show_is_not_traded(shop: Shop) -> None:
    def hidden(_name: str, _enable: bool) -> Any:  # noqa: FBT001  the package's
        raise TerminalRefused("not shown", code=-1)

    shop.terminal._symbol_info = lambda name: symbol_info(name, select=False)  # type: ignore[method-assign]
    shop.terminal._symbol_select = hidden  # type: ignore[attr-defined]

    with pytest.raises(UnknownSymbol):
        await shop.desk.submit("k", buy())

    assert shop.sends == 0


async def test_a_symbol_without_a_price_is_waited_for_and_then_given_up(shop: Shop) -> None:
    looks = iter([symbol_info(bid=0.0, ask=0.0)] * 3 + [symbol_info()] * 9)
    shop.terminal._symbol_info = lambda _name: next(looks)  # type: ignore[method-assign]
    assert (await shop.desk.submit("a", buy())).outcome == "Done"

    shop.terminal._symbol_info = lambda _name: symbol_info(  # type: ignore[method-assign]
        bid=0.0, ask=0.0
    )
    with pytest.raises(NoPrice):
        await shop.desk.submit("b", buy())


@pytest.mark.parametrize("fault", ["lost_after", "ambiguous_after", "fault_after", "nonsense"])
async def test_an_order_without_an_answer_is_unknown_then_found(shop: Shop, fault: str) -> None:
    shop.terminal.fault = fault

    first = await shop.desk.submit("k", buy())
    shop.world.restore()
    shop.world.advance(60_000)
    await shop.desk.reconcile()
    found = await shop.desk.submit("k", buy())

    assert (first.outcome, first.final) == ("Unknown", False)
    assert found.outcome in ("Done", "Partial")
    assert found.final
    assert found.order in shop.world.broker.past
    assert shop.sends == 1


async def test_an_order_that_was_never_made_is_proven_absent_and_not_sent_again(
    shop: Shop,
) -> None:
    shop.terminal.fault = "lost_before"

    await shop.desk.submit("k", buy())
    shop.world.restore()
    await shop.desk.reconcile()
    early = await shop.desk.outcome("k")
    shop.world.advance(60_000)
    await shop.desk.reconcile()
    late = await shop.desk.submit("k", buy())

    assert (early.outcome, late.outcome, late.evidence) == ("Unknown", "NotSent", "absence")
    assert shop.sends == 1


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS], ids=["forward", "back"])
async def test_a_clock_that_is_set_proves_nothing_and_holds_nothing_up(
    shop: Shop, step_ms: int
) -> None:
    """The order comes 12 s after the answer did not."""
    world, sent = shop.world, list[Any]()
    shop.terminal._send_lost_before = sent_late(shop, sent)  # type: ignore[method-assign]
    shop.terminal.fault = "lost_before"
    assert (await shop.desk.submit("k", buy())).outcome == "Unknown"
    await shop.desk.reconcile()
    world.later(12_000, lambda: world.broker.execute(sent[0]))

    world.set_clock(step_ms)
    await shop.desk.reconcile()
    assert (await shop.desk.outcome("k")).outcome == "Unknown"
    world.advance(15_000)
    await shop.desk.reconcile()

    assert (await shop.desk.outcome("k")).outcome == "Done"


async def test_a_clock_that_is_set_back_does_not_keep_absence_from_being_proven(
    shop: Shop,
) -> None:
    shop.terminal._send_lost_before = sent_late(shop, [])  # type: ignore[method-assign]
    shop.terminal.fault = "lost_before"
    await shop.desk.submit("k", buy())
    shop.world.set_clock(-HOUR_MS)
    for _ in range(20):
        shop.world.advance(2000)
        await shop.desk.reconcile()

    assert (await shop.desk.outcome("k")).outcome == "NotSent"


async def test_a_clock_that_is_set_back_during_the_call_keeps_no_absence_from_being_proven(
    shop: Shop,
) -> None:
    """The pass that notices the clock does not know of the call yet."""
    call = shop.terminal.call

    async def during(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "order_send":
            shop.world.set_clock(-HOUR_MS)
            await shop.desk.reconcile()
            raise TerminalTimeout("no answer")
        return await call(name, *args, **kwargs)

    shop.terminal.call = during  # type: ignore[method-assign]
    await shop.desk.submit("k", buy())
    for _ in range(20):
        shop.world.advance(2000)
        await shop.desk.reconcile()

    assert (await shop.desk.outcome("k")).outcome == "NotSent"


async def test_a_clock_set_forward_ends_no_waiting_for_an_earlier_life(shop: Shop) -> None:
    await shop.desk.submit("k", buy())
    await shop.kill()
    shop.lose_journal()
    await shop.begin()
    shop.terminal.quiet = True
    shop.world.set_clock(HOUR_MS // 2)

    await shop.desk.reconcile()

    with pytest.raises(Settling):
        await shop.desk.submit("k", buy())


def sent_late(shop: Shop, sent: list[Any]) -> Any:
    def send(request: dict[str, Any]) -> Any:
        sent.append(request)
        shop.world.advance(10_000)
        raise TerminalTimeout("no answer")

    return send


async def test_a_twin_of_an_unknown_order_waits_for_it(shop: Shop) -> None:
    shop.terminal.fault = "ambiguous_before"
    await shop.desk.submit("k", buy())

    with pytest.raises(LookalikeUnknown) as refused:
        await shop.desk.submit("twin", buy())

    assert refused.value.extra["other_key"] == "k"
    with pytest.raises(LookalikeUnknown):
        await shop.desk.submit("twin-magic-0", buy(magic=0))
    with pytest.raises(LookalikeUnknown):
        await shop.desk.submit("twin-with-a-stop", buy(sl=Decimal("1.05")))
    assert (await shop.desk.submit("other", buy("0.2"))).outcome == "Done"
    assert shop.desk.unknown == {"k": ""}


def close_by(one: int, other: int) -> Ask:
    return Ask("close_by", CloseBy(position_by=other), one)


async def pair(shop: Shop) -> tuple[int, int]:
    """Open two positions that can be closed by each other."""
    await shop.desk.submit("one", buy())
    await shop.desk.submit("other", sell("0.1"))
    one, other = shop.world.broker.positions
    return one, other


async def test_a_pair_is_not_closed_the_other_way_round_while_nobody_knows(shop: Shop) -> None:
    one, other = await pair(shop)
    shop.terminal.fault = "lost_before"
    assert (await shop.desk.submit("k", close_by(one, other))).outcome == "Unknown"

    with pytest.raises(LookalikeUnknown):
        await shop.desk.submit("l", close_by(other, one))


async def test_a_close_by_of_another_key_is_not_told_twice(shop: Shop) -> None:
    """The terminal still shows both, so the second is sent; its answer is lost."""
    one, other = await pair(shop)
    before = dict(shop.world.broker.positions)
    first = await shop.desk.submit("k", close_by(one, other))
    shop.terminal._positions_get = lambda ticket: [before[ticket]]  # type: ignore[method-assign]
    shop.terminal.fault = "lost_after"

    assert (await shop.desk.submit("l", close_by(other, one))).outcome == "Unknown"
    del shop.terminal._positions_get
    shop.world.restore()
    for _ in range(10):
        shop.world.advance(5000)
        await shop.desk.reconcile()

    assert first.outcome == "Done"
    assert (await shop.desk.outcome("l")).outcome == "NotSent"


async def test_a_sidecar_killed_in_the_call_looks_before_it_trades(shop: Shop) -> None:
    shop.terminal.fault = "killed_after"
    with contextlib.suppress(BaseException):
        await shop.desk.submit("k", buy())
    await shop.kill()

    again = Shop(shop.world, shop.settings.journal_file.parent)
    await again.begin()
    again.terminal.quiet = True
    with pytest.raises(Reconciling):
        await again.desk.submit("new", buy())
    shop.world.advance(5000)
    await again.desk.reconcile()

    assert (await again.desk.submit("k", buy())).outcome == "Done"
    assert again.sends == 0
    await again.desk.stop()


async def test_a_look_that_fails_does_not_end_the_looking_before_it_trades(shop: Shop) -> None:
    shop.terminal.fault = "lost_after"
    await shop.desk.submit("k", buy())
    await shop.kill()
    shop.world.restore()
    await shop.begin()

    def away(*_args: Any) -> Any:
        raise TerminalTimeout("no answer")

    shop.terminal._history_deals_get = away  # type: ignore[method-assign]
    await shop.desk.reconcile()

    with pytest.raises(Reconciling):
        await shop.desk.submit("new", buy("0.2"))


async def reborn(shop: Shop) -> Shop:
    """Return the shop after its end, without its journal, before the terminal tells of a deal."""
    await shop.kill()
    shop.lose_journal()
    again = Shop(shop.world, shop.settings.journal_file.parent)
    await again.begin()
    again.terminal.quiet = True
    return again


async def put_back(shop: Shop, *, after: Callable[[Shop], Awaitable[object]]) -> Shop:
    """Return the shop with its journal of before `after`, as it comes from a backup."""
    file = shop.settings.journal_file
    await shop.kill()
    backup = file.read_bytes()
    await shop.begin()
    await shop.desk.reconcile()
    await after(shop)
    await shop.kill()
    shop.lose_journal()
    file.write_bytes(backup)
    shop.world.advance(60_000)
    await shop.begin()
    shop.terminal.quiet = True
    return shop


@pytest.mark.parametrize("comments", ["keep", "cut", "drop"])
@pytest.mark.parametrize("offset_s", [0, 10_800, None])
async def test_a_journal_put_back_from_a_backup_is_noticed_and_nothing_is_sent_twice(
    tmp_path: Path, comments: str, offset_s: int | None
) -> None:
    world = World(1, comments=comments, offset_s=offset_s)
    shop = await Shop(world, tmp_path).opened()
    world.advance(15 * HOUR_MS)

    again = await put_back(shop, after=lambda desk: desk.desk.submit("k", buy()))
    await again.desk.reconcile()
    with pytest.raises(Settling):
        await again.desk.submit("k", buy())
    world.advance(30_000)
    await again.desk.reconcile()
    answer = await again.desk.submit("k", buy())

    assert (answer.outcome, answer.replayed, again.sends) == ("Done", True, 0)
    await again.desk.stop()


async def test_a_terminal_that_never_shows_its_orders_keeps_a_journal_from_trading_for_a_minute(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = await put_back(shop, after=lambda desk: desk.desk.submit("k", buy()))
    call = again.terminal.call

    async def history_is_too_long(name: str, /, *args: Any, **kwargs: Any) -> Any:
        if name == "history_orders_get":
            raise TerminalTimeout("no answer")
        return await call(name, *args, **kwargs)

    monkeypatch.setattr(again.terminal, "call", history_is_too_long)
    for _ in range(2):
        await again.desk.reconcile()
        with pytest.raises(Settling):
            await again.desk.submit("k2", buy())
        again.world.advance(31_000)
    await again.desk.reconcile()

    assert (await again.desk.submit("k2", buy())).outcome == "Done"


async def test_what_others_trade_and_stops_close_makes_no_journal_a_new_one(shop: Shop) -> None:
    held = (await shop.desk.submit("k", buy())).position or 0

    async def others(_: Shop) -> None:
        shop.world.broker.trade_by_hand("EURUSD", 0, 0.1, magic=7, reason=3)
        shop.world.broker.stop_out(held)

    again = await put_back(shop, after=others)
    await again.desk.reconcile()

    assert (await again.desk.submit("k2", buy())).outcome == "Done"


async def test_a_new_journal_asks_the_terminal_before_it_sends(shop: Shop) -> None:
    first = await shop.desk.submit("k", buy())
    again = await reborn(shop)
    with pytest.raises((Settling, Reconciling)):
        await again.desk.submit("k", buy())
    for _ in range(20):
        shop.world.advance(2000)
        await again.desk.reconcile()
    met = await again.desk.submit("k", buy())

    assert (met.outcome, met.order, met.replayed) == ("Done", first.order, True)
    assert again.sends == 0
    await again.desk.stop()


async def test_a_close_of_a_lost_journal_is_answered_though_its_position_is_gone(
    shop: Shop,
) -> None:
    held = (await shop.desk.submit("o", buy())).position or 0
    closed = await shop.desk.submit("c", close(held))
    again = await reborn(shop)
    for _ in range(20):
        shop.world.advance(2000)
        await again.desk.reconcile()

    met = await again.desk.submit("c", close(held))

    assert (met.outcome, met.order, met.replayed) == ("Done", closed.order, True)
    assert again.sends == 0
    await again.desk.stop()


async def looked(again: Shop) -> Shop:
    """Return the shop once it has looked at what an earlier life left."""
    for _ in range(20):
        again.world.advance(2000)
        await again.desk.reconcile()
    return again


async def test_an_order_of_a_lost_journal_that_the_broker_is_still_at_is_waited_for(
    shop: Shop,
) -> None:
    sent: list[dict[str, Any]] = []
    shop.terminal._send_good = lambda asked: sent.append(asked) or shop.world.broker.begin(asked)  # type: ignore[method-assign,func-returns-value]
    taken = await shop.desk.submit("k", buy())
    again = await looked(await reborn(shop))

    with pytest.raises(Settling):
        await again.desk.submit("k", buy())
    shop.world.broker.finish(taken.order or 0, sent[0], fill=True)
    met = await (await looked(again)).desk.submit("k", buy())

    assert (met.outcome, met.order) == ("Done", taken.order)
    assert again.sends == 0
    await again.desk.stop()


async def test_an_order_of_a_lost_journal_of_which_only_its_position_is_seen_is_not_sent_again(
    shop: Shop,
) -> None:
    first = await shop.desk.submit("k", buy())
    again = await reborn(shop)
    for past in ("orders", "deals"):
        setattr(again.terminal, f"_history_{past}_get", lambda *_args, **_named: [])
    await looked(again)

    met = await again.desk.submit("k", buy())

    assert (met.outcome, met.order, met.volume) == ("Done", first.order, None)
    assert again.sends == 0
    await again.desk.stop()


@pytest.mark.parametrize("by", ["link", "clock"])
async def test_a_look_at_an_earlier_life_is_taken_on_a_link_and_a_clock_that_have_settled(
    shop: Shop, by: str
) -> None:
    """Also where nothing of it can appear any more: the history must be whole."""
    await shop.desk.submit("k", buy())
    again = await looked(await reborn(shop))
    await again.kill()
    await again.begin()
    if by == "link":
        shop.world.connected = False
        shop.world.restore()
    else:
        shop.world.since_ms = shop.world.clock() - HOUR_MS
        shop.world.set_clock(HOUR_MS)
        await again.desk.reconcile()

    shop.world.advance(14_000)
    await again.desk.reconcile()
    assert not again.desk._gate.earlier_known

    shop.world.advance(2_000)
    await again.desk.reconcile()
    assert again.desk._gate.earlier_known
    await again.desk.stop()


async def test_a_key_whose_journal_is_lost_is_never_told_to_be_unknown(shop: Shop) -> None:
    """`key-unknown` reads as "never sent": who believes it of a made order sends another."""
    first = await shop.desk.submit("k", buy())
    again = await reborn(shop)
    with pytest.raises(Settling):
        await again.desk.outcome("k")
    for _ in range(20):
        shop.world.advance(2000)
        await again.desk.reconcile()
    with pytest.raises(KeyOfEarlierLife):
        await again.desk.outcome("k")
    with pytest.raises(KeyUnknown):
        await again.desk.outcome("never-used")
    await again.desk.submit("k", buy())

    assert (await again.desk.outcome("k")).order == first.order
    assert again.sends == 0
    await again.desk.stop()


async def test_an_account_that_never_traded_is_not_asked_again_after_a_restart(
    shop: Shop,
) -> None:
    await shop.kill()

    again = Shop(shop.world, shop.settings.journal_file.parent)
    await again.begin()
    await again.desk.reconcile()

    assert again.desk.ready
    await again.desk.stop()


async def test_a_fenced_desk_trades_no_more_not_even_after_a_restart(shop: Shop) -> None:
    await shop.desk.activation.fence()

    with pytest.raises(Fenced):
        await shop.desk.submit("k", buy())
    with pytest.raises(Fenced):
        await shop.desk.activation.activate(1)
    await shop.kill()
    again = Shop(shop.world, shop.settings.journal_file.parent)
    again.epoch = 2
    await again.begin()

    assert again.desk.activation.active
    assert again.desk.activation.epoch == 2
    with pytest.raises(Fenced):
        await again.desk.activation.activate(1)
    await again.desk.stop()


async def test_a_desk_that_was_never_activated_does_not_trade(tmp_path: Path) -> None:
    house = Shop(World(1), tmp_path)
    await house.begin()
    house.desk._gate.epoch = 0
    await house.desk.reconcile()

    with pytest.raises(Fenced):
        await house.desk.submit("k", buy())
    await house.desk.stop()


async def test_fencing_waits_for_the_order_that_is_being_sent(shop: Shop) -> None:
    running = asyncio.ensure_future(shop.desk.submit("k", buy()))
    for _ in range(8):
        await asyncio.sleep(0)
    await shop.desk.activation.fence()

    done = await asyncio.gather(running, return_exceptions=True)
    sends = shop.sends
    for _ in range(50):
        await asyncio.sleep(0)

    assert sends == shop.sends
    assert isinstance(done[0], Fenced) or done[0].outcome == "Done"  # type: ignore[union-attr]


async def test_a_fence_is_up_when_the_order_in_the_call_has_ended(shop: Shop) -> None:
    called, answered = asyncio.Event(), asyncio.Event()
    call = shop.terminal.call

    async def slow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "order_send":
            called.set()
            await answered.wait()
        return await call(name, *args, **kwargs)

    shop.terminal.call = slow  # type: ignore[method-assign]
    running = asyncio.ensure_future(shop.desk.submit("k", buy()))
    await called.wait()

    fence = asyncio.ensure_future(shop.desk.activation.fence())
    for _ in range(50):
        await asyncio.sleep(0)

    too_early = fence.done()
    answered.set()
    await fence

    assert not too_early
    assert b'"state":"outcome"' in await shop.desk.activation.export()
    assert (await running).outcome == "Done"


async def test_an_activation_that_cannot_be_written_is_none_and_can_be_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_facts: str) -> None:
        raise JournalFailed("disk full")

    await shop.desk.activation.fence()
    with monkeypatch.context() as patched:
        patched.setattr(shop.store, "set_facts", full)
        with pytest.raises(JournalFailed):
            await shop.desk.activation.activate(2)

    assert not shop.desk.activation.active
    await shop.desk.activation.activate(2)
    await shop.kill()
    await shop.wait()
    assert shop.desk.activation.active


async def test_what_is_open_in_a_journal_that_is_taken_over_is_looked_for_before_it_trades(
    shop: Shop, tmp_path: Path
) -> None:
    shop.terminal.fault = "ambiguous_after"
    await shop.desk.submit("k", buy())
    other = Shop(shop.world, tmp_path, name="b")
    await other.wait()
    await other.desk.reconcile()
    await shop.desk.activation.fence()
    other.epoch = 2

    await other.begin(adopt=await shop.desk.activation.export())

    with pytest.raises((Reconciling, Settling)):
        await other.desk.submit("new", buy("0.2"))
    assert not other.desk._gate.reconciled
    await other.desk.stop()


async def test_the_other_slot_knows_every_key(shop: Shop, tmp_path: Path) -> None:
    done = await shop.desk.submit("done", buy())
    shop.terminal.fault = "lost_after"
    await shop.desk.submit("lost", buy("0.2"))
    shop.world.restore()
    await shop.desk.activation.fence()
    exported = await shop.desk.activation.export()

    other = Shop(shop.world, tmp_path, name="b")
    other.epoch = 2
    await other.begin(adopt=exported)
    other.terminal.quiet = True
    shop.world.advance(60_000)
    await other.desk.reconcile()

    assert (await other.desk.submit("done", buy())).order == done.order
    assert (await other.desk.submit("lost", buy("0.2"))).outcome in ("Done", "Partial")
    assert other.sends == 0
    await other.desk.stop()


async def test_the_other_slot_knows_every_key_of_a_pod_whose_clock_was_set_forward(
    shop: Shop, tmp_path: Path
) -> None:
    await shop.desk.submit("k", buy())
    shop.world.set_clock(40 * DAY_MS)
    other = Shop(shop.world, tmp_path, name="b")

    await moved(shop, other)

    assert (await other.desk.submit("k", buy())).replayed
    assert other.sends == 0
    await other.desk.stop()


async def test_a_fenced_desk_denies_no_key_for_another_slot_may_have_sent_it(
    shop: Shop, tmp_path: Path
) -> None:
    before = await shop.desk.submit("before", buy())
    other = Shop(shop.world, tmp_path, name="b")
    await moved(shop, other)
    await other.desk.submit("since", buy("0.2"))

    with pytest.raises(Fenced):
        await shop.desk.outcome("since")

    assert (await shop.desk.outcome("before")).order == before.order
    with pytest.raises(KeyUnknown):
        await other.desk.outcome("never")
    await other.desk.stop()


async def moved(shop: Shop, other: Shop) -> None:
    """Let the account's other slot trade."""
    await shop.desk.activation.fence()
    exported = await shop.desk.activation.export()
    other.epoch = shop.desk.activation.epoch + 1
    await other.begin(adopt=exported)
    other.terminal.quiet = True
    await other.desk.reconcile()


async def test_the_other_slot_does_not_undo_a_change_that_its_terminal_does_not_show_yet(
    shop: Shop, tmp_path: Path
) -> None:
    held = (await shop.desk.submit("k", buy())).position or 0
    before = shop.world.broker.positions[held]
    await shop.desk.submit("m1", change(held, sl=Decimal("1.05")))
    other = Shop(shop.world, tmp_path, name="b")
    await moved(shop, other)
    Lagging(other, before, looks=3)

    await other.desk.submit("m2", change(held, tp=Decimal("1.25")))

    position = shop.world.broker.positions[held]
    assert (position.sl, position.tp) == (1.05, 1.25)
    await other.desk.stop()


async def test_a_restart_does_not_undo_a_change_that_is_not_shown_yet(shop: Shop) -> None:
    held = (await shop.desk.submit("k", buy())).position or 0
    before = shop.world.broker.positions[held]
    await shop.desk.submit("m1", change(held, sl=Decimal("1.05")))
    await shop.kill()
    await shop.opened()
    Lagging(shop, before, looks=3)

    await shop.desk.submit("m2", change(held, tp=Decimal("1.25")))

    position = shop.world.broker.positions[held]
    assert (position.sl, position.tp) == (1.05, 1.25)


async def test_what_is_unknown_is_handed_over_though_keys_of_its_age_are_forgotten(
    tmp_path: Path,
) -> None:
    shop = await Shop(World(1), tmp_path, retention_s=60.0).opened()
    shop.terminal.fault = "lost_before"
    shop.world.lose_link(10_000_000)
    shop.world.connected = True
    assert (await shop.desk.submit("k", buy())).outcome == "Unknown"
    shop.world.connected = False
    shop.world.advance(120_000)
    other = Shop(shop.world, tmp_path, name="b")

    await moved(shop, other)

    assert list(other.desk.unknown) == ["k"]
    await shop.desk.stop()
    await other.desk.stop()


async def test_a_key_that_the_other_slot_settled_is_looked_for_no_more(
    shop: Shop, tmp_path: Path
) -> None:
    """It was told there; a look of ours, when others have changed the target, would say another."""
    held = (await shop.desk.submit("k", buy())).position or 0
    shop.terminal.fault = "lost_after"
    await shop.desk.submit("m1", change(held, sl=Decimal("1.05")))
    shop.world.restore()
    other = Shop(shop.world, tmp_path, name="b")
    await moved(shop, other)
    told = await other.desk.outcome("m1")
    await other.desk.submit("m2", change(held, sl=Decimal("1.06")))
    shop.waits = True
    await moved(other, shop)
    assert not shop.desk.unknown
    for _ in range(20):
        shop.world.advance(5000)
        await shop.desk.reconcile()

    assert (told.outcome, (await shop.desk.outcome("m1")).outcome) == ("Done", "Done")
    await other.desk.stop()


async def test_a_slot_that_waited_looks_late_enough_for_a_journal_that_was_lost(
    shop: Shop, tmp_path: Path
) -> None:
    """The order is on its way when pod and journal go; its new, empty journal is handed on."""
    world = shop.world
    other = Shop(world, tmp_path, name="b")
    other.epoch = 2
    await other.wait()
    other.terminal.quiet = True
    world.advance(60_000)
    sent: list[Any] = []
    shop.terminal._send_good = die_after(shop, sent)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await shop.desk.submit("k", buy())
    world.later(8_000, lambda: world.broker.execute(sent[0]))
    await shop.kill()
    shop.lose_journal()

    await shop.begin()
    await shop.desk.activation.fence()
    await other.desk.activation.adopt(await shop.desk.activation.export())
    await other.desk.activation.activate(2)
    await other.desk.reconcile()
    with pytest.raises(Settling):
        await other.desk.submit("k", buy())
    for _ in range(20):
        world.advance(2000)
        await other.desk.reconcile()

    assert (await other.desk.submit("k", buy())).outcome == "Done"
    assert (len(world.broker.positions), other.sends) == (1, 0)
    await other.desk.stop()


async def test_a_journal_whose_past_was_looked_at_is_taken_over_without_waiting(
    shop: Shop, tmp_path: Path
) -> None:
    await shop.desk.submit("k", buy())
    await shop.kill()
    shop.lose_journal()
    again = await Shop(shop.world, tmp_path).opened()
    await again.desk.activation.fence()
    other = Shop(shop.world, tmp_path, name="b")
    other.epoch = 2
    await other.begin(adopt=await again.desk.activation.export())
    other.terminal.quiet = True
    await other.desk.reconcile()

    assert (await other.desk.submit("k", buy())).replayed
    assert other.sends == 0
    await other.desk.stop()
    await again.desk.stop()


async def test_a_slot_that_trades_takes_over_no_journal(shop: Shop) -> None:
    exported = await shop.desk.activation.export()

    with pytest.raises(InvalidRequest):
        await shop.desk.activation.adopt(exported)

    assert shop.desk.ready


async def test_a_trade_that_waited_through_a_new_activation_is_not_sent(shop: Shop) -> None:
    info = shop.terminal._symbol_info

    def meanwhile(name: str) -> Any:
        shop.desk._gate.epoch = 3
        return info(name)

    shop.terminal._symbol_info = meanwhile  # type: ignore[method-assign]

    with pytest.raises(Fenced):
        await shop.desk.submit("k", buy())

    assert shop.sends == 0


def fenced(shop: Shop) -> None:
    shop.desk._gate.fenced = True


def switched_off(shop: Shop) -> None:
    shop.trading = Trading(enabled=False)


def without_a_link(shop: Shop) -> None:
    shop.world.connected = False


@pytest.mark.parametrize(
    ("happens", "refusal"),
    [
        (fenced, Fenced),
        (switched_off, TradingDisabled),
        (without_a_link, TerminalUnavailable),
    ],
)
async def test_what_forbids_a_trade_after_it_was_planned_leaves_its_key_free(
    shop: Shop, happens: Callable[[Shop], None], refusal: type[Exception]
) -> None:
    info = shop.terminal._symbol_info

    def meanwhile(name: str) -> Any:
        happens(shop)
        return info(name)

    shop.terminal._symbol_info = meanwhile  # type: ignore[method-assign]
    with pytest.raises(refusal):
        await shop.desk.submit("k", buy())

    assert shop.sends == 0
    assert await shop.desk._ledger.journal.get("k") is None


async def test_a_trade_that_waited_through_the_look_after_an_activation_is_looked_for(
    shop: Shop, tmp_path: Path
) -> None:
    """It came while the activation was being written, and its plan takes as long as the look."""
    third = await Shop(shop.world, tmp_path, name="third").opened()
    go_on, call = asyncio.Event(), shop.terminal.call

    async def slow(name: str, /, *args: Any, **kwargs: Any) -> Any:
        if name == "symbol_info":
            await go_on.wait()
        return await call(name, *args, **kwargs)

    shop.terminal.call = slow  # type: ignore[method-assign]
    activating = asyncio.ensure_future(shop.desk.activation.activate(7))
    waiting = asyncio.ensure_future(shop.desk.submit("k", buy()))
    await activating
    assert (await third.desk.submit("k", buy())).outcome == "Done"
    for _ in range(20):
        shop.world.advance(2000)
        await shop.desk.reconcile()
    assert shop.desk.ready
    go_on.set()

    assert (await waiting).outcome == "Done"
    assert (shop.sends, len(shop.world.broker.positions)) == (0, 1)
    await third.desk.stop()


async def test_a_key_of_an_earlier_life_is_not_used_for_another_trade(
    shop: Shop,
) -> None:
    await shop.desk.submit("k", buy())
    await shop.kill()
    shop.lose_journal()
    await shop.opened()

    with pytest.raises(KeyReused):
        await shop.desk.submit("k", sell("0.1"))

    assert shop.sends == 0


async def test_a_symbol_that_the_broker_spells_otherwise_is_another_symbol(shop: Shop) -> None:
    """Its orders would carry the broker's spelling, and not be found by the client's."""
    shop.terminal._symbol_info = lambda _name: symbol_info("EURUSD")  # type: ignore[method-assign]
    other = msgspec.structs.replace(buy().body, symbol="eurusd")

    with pytest.raises(UnknownSymbol):
        await shop.desk.submit("k", Ask("order", other))

    assert shop.sends == 0


def die_after(shop: Shop, sent: list[Any]) -> Any:
    def die(request: dict[str, Any]) -> Any:
        sent.append(request)
        shop.terminal.dead = True
        raise Killed

    return die


async def test_another_accounts_handover_is_refused(shop: Shop) -> None:
    exported = await shop.desk.activation.export()
    foreign = exported.replace(b"10001@Simulator-Demo", b"10002@Simulator-Demo")

    with pytest.raises(JournalForeign):
        await shop.desk.activation.adopt(foreign)


async def test_stopping_refuses_what_is_new(shop: Shop) -> None:
    shop.desk._gate.stopping = True

    with pytest.raises(Stopping):
        await shop.desk.submit("k", buy())


async def test_too_many_waiting_trades_are_told_to_come_back(tmp_path: Path) -> None:
    small = await Shop(World(1), tmp_path, max_waiting=2).opened()
    running = [asyncio.ensure_future(small.desk.submit(f"k{n}", buy())) for n in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Busy):
        await small.desk.submit("k3", buy())

    await asyncio.gather(*running)
    await small.desk.stop()


async def test_trades_of_one_caller_leave_places_to_the_others(tmp_path: Path) -> None:
    sizes = {"max_waiting": 10, "kept_ratio": 0.4, "kept_keys": 2}
    small = await Shop(World(1), tmp_path, **sizes).opened()

    def ask(key: str, by: str) -> Awaitable[Any]:
        return asyncio.ensure_future(small.desk.submit(key, buy(), by=by))

    mine = [ask(f"m{number}", "me") for number in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await ask("m6", "me")
    theirs = [ask(f"{by}{number}", by) for by in ("you", "they") for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await ask("they2", "they")

    done = await asyncio.gather(*mine, *theirs)
    assert {outcome.outcome for outcome in done} == {"Done"}
    assert (await ask("m6", "me")).outcome == "Done"
    await small.desk.stop()


async def test_a_known_key_is_answered_where_there_is_room_for_no_other(tmp_path: Path) -> None:
    small = await Shop(World(1), tmp_path, max_waiting=1).opened()
    done = await small.desk.submit("k", buy())
    running = asyncio.ensure_future(small.desk.submit("l", buy()))
    await asyncio.sleep(0)

    again = await small.desk.submit("k", buy())
    with pytest.raises(KeyReused):
        await small.desk.submit("k", buy("0.2"))

    assert (again.replayed, again.order, running.done()) == (True, done.order, False)
    await running
    await small.desk.stop()


@pytest.mark.parametrize("failing", ["insert", "update"])
async def test_what_cannot_be_written_is_not_sent(shop: Shop, failing: str) -> None:
    def fails(_record: Any) -> None:
        raise JournalFailed("disk full")

    setattr(shop.store, failing, fails)

    with pytest.raises(JournalFailed):
        await shop.desk.submit("k", buy())

    assert shop.sends == 0


@pytest.mark.parametrize("asked_by", ["retry", "key"])
async def test_an_intent_that_is_on_disk_though_its_write_failed_gets_its_outcome(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, asked_by: str
) -> None:
    assert shop.store is not None
    write = shop.store.insert

    def written_and_failed(record: Any) -> None:
        write(record)
        raise JournalFailed("the disk has not said that it is")

    with monkeypatch.context() as patched:
        patched.setattr(shop.store, "insert", written_and_failed)
        with pytest.raises(JournalFailed):
            await shop.desk.submit("k", buy())
    asked = shop.desk.submit("k", buy()) if asked_by == "retry" else shop.desk.outcome("k")
    assert (await asked).outcome == "Unknown"

    await shop.desk.reconcile()

    assert (await shop.desk.outcome("k")).outcome == "NotSent"
    assert shop.sends == 0


@pytest.mark.parametrize("on_disk", [False, True])
async def test_what_was_never_called_for_the_disk_is_settled_though_nobody_asks(
    shop: Shop, *, on_disk: bool
) -> None:
    assert shop.store is not None
    shop.store.fail_at, shop.store.fail_before = 2, not on_disk
    with pytest.raises(JournalFailed):
        await shop.desk.submit("k", buy())
    shop.store.fail_at = 0

    await shop.desk.reconcile()

    told = await shop.desk.outcome("k")
    assert (told.outcome, told.reason) == ("NotSent", "NeverCalled")
    assert shop.sends == 0


async def test_an_outcome_that_cannot_be_written_is_told_as_unknown_and_found_later(
    shop: Shop,
) -> None:
    assert shop.store is not None
    write, writes = shop.store.update, []

    def second_fails(record: Any) -> None:
        writes.append(record)
        if len(writes) == 2:
            raise JournalFailed("disk full")
        write(record)

    shop.store.update = second_fails  # type: ignore[method-assign]

    told = await shop.desk.submit("k", buy())
    shop.world.advance(5000)
    await shop.desk.reconcile()

    assert told.outcome == "Unknown"
    assert (await shop.desk.outcome("k")).outcome == "Done"
    assert shop.sends == 1


async def test_check_asks_the_terminal_and_sends_nothing(shop: Shop) -> None:
    shop.trading = Trading()
    asked: list[Any] = []
    shop.terminal._order_check = asked.append  # type: ignore[attr-defined]

    await shop.desk.check(buy())

    assert asked[0]["action"] == 1
    assert shop.sends == 0


async def test_stops_of_a_position_are_moved(shop: Shop) -> None:
    opened = await shop.desk.submit("k", buy())
    assert opened.position

    moved = await shop.desk.submit(
        "m", Ask("modify_position", ModifyPosition(sl=Decimal("1.05")), opened.position)
    )

    assert moved.outcome == "Done"
    assert shop.world.broker.positions[opened.position].sl == 1.05


async def test_a_change_that_is_there_already_is_done_without_being_sent(shop: Shop) -> None:
    opened = await shop.desk.submit("k", buy())
    assert opened.position
    ask = Ask("modify_position", ModifyPosition(sl=Decimal("1.05")), opened.position)
    await shop.desk.submit("m", ask)
    sends = shop.sends

    again = await shop.desk.submit("m2", ask)

    assert (again.outcome, again.reason, again.replayed) == ("Done", "AlreadyAsAsked", False)
    assert shop.sends == sends


def change(ticket: int | None, **stops: Any) -> Ask:
    assert ticket
    return Ask("modify_position", ModifyPosition(**stops), ticket)


async def test_an_order_for_the_day_that_is_to_stay_is_changed(shop: Shop) -> None:
    """Both have no moment at which they end: only the kind of their end tells them apart."""
    body = NewOrder(
        symbol="EURUSD", side="buy", type="limit", price=Decimal("1.05"), volume=Decimal("0.1"),
        expiration="day",
    )  # fmt: skip
    ticket = (await shop.desk.submit("k", Ask("order", body))).order or 0
    stay = Ask("modify_order", ModifyOrder(expiration="gtc"), ticket)

    told = await shop.desk.submit("m1", stay)
    again = await shop.desk.submit("m2", stay)

    assert (told.outcome, told.reason) == ("Done", "")
    assert shop.world.broker.orders[ticket].type_time == 0
    assert (again.outcome, again.reason) == ("Done", "AlreadyAsAsked")


async def test_an_unknown_change_of_an_end_is_told_by_its_kind(shop: Shop) -> None:
    body = NewOrder(
        symbol="EURUSD", side="buy", type="limit", price=Decimal("1.05"), volume=Decimal("0.1")
    )
    ticket = (await shop.desk.submit("k", Ask("order", body))).order or 0
    shop.terminal.fault = "lost_before"
    for_today = Ask("modify_order", ModifyOrder(expiration="day"), ticket)
    assert (await shop.desk.submit("m", for_today)).outcome == "Unknown"
    shop.world.restore()
    for _ in range(40):
        shop.world.advance(2000)
        await shop.desk.reconcile()

    told = await shop.desk.outcome("m")

    assert (told.outcome, told.reason) == ("NotSent", "ProvenAbsent")


async def test_two_changes_at_once_leave_each_other_what_they_set(shop: Shop) -> None:
    """ "What is left out stays" means as the change before left it, not as it was read before."""
    held = (await shop.desk.submit("k", buy())).position

    told = await asyncio.gather(
        shop.desk.submit("m1", change(held, sl=Decimal("1.05"))),
        shop.desk.submit("m2", change(held, tp=Decimal("1.25"))),
    )

    assert [outcome.outcome for outcome in told] == ["Done", "Done"]
    position = shop.world.broker.positions[held or 0]
    assert (position.sl, position.tp) == (1.05, 1.25)


async def test_a_stop_set_and_taken_away_at_once_is_gone(shop: Shop) -> None:
    held = (await shop.desk.submit("k", buy())).position

    told = await asyncio.gather(
        shop.desk.submit("m1", change(held, sl=Decimal("1.05"))),
        shop.desk.submit("m2", change(held, sl=None)),
    )

    assert [(outcome.outcome, outcome.reason) for outcome in told] == [("Done", "")] * 2
    assert shop.world.broker.positions[held or 0].sl == 0


async def test_a_change_waits_until_the_terminal_shows_the_one_before(shop: Shop) -> None:
    held = (await shop.desk.submit("k", buy())).position or 0
    before = shop.world.broker.positions[held]
    await shop.desk.submit("m1", change(held, sl=Decimal("1.05")))
    late = Lagging(shop, before, looks=3)

    told = await shop.desk.submit("m2", change(held, tp=Decimal("1.25")))

    assert told.outcome == "Done"
    assert late.left == 0
    position = shop.world.broker.positions[held]
    assert (position.sl, position.tp) == (1.05, 1.25)


async def test_a_change_that_the_terminal_never_shows_is_not_undone_by_the_next(
    shop: Shop,
) -> None:
    held = (await shop.desk.submit("k", buy())).position or 0
    before = shop.world.broker.positions[held]
    await shop.desk.submit("m1", change(held, sl=Decimal("1.05")))
    late = Lagging(shop, before, looks=10_000)

    with pytest.raises(Settling):
        await shop.desk.submit("m2", change(held, tp=Decimal("1.25")))

    assert (await shop.desk.submit("c", Ask("close_position", ClosePosition(), held))).outcome == (
        "Done"
    ), "closing is never held up"
    assert late.left


async def test_a_change_that_somebody_takes_back_holds_no_other_up_for_long(shop: Shop) -> None:
    held = (await shop.desk.submit("k", buy())).position or 0
    before = shop.world.broker.positions[held]
    await shop.desk.submit("m1", change(held, sl=Decimal("1.05")))
    shop.world.broker.positions[held] = before
    with pytest.raises(Settling):
        await shop.desk.submit("m2", change(held, tp=Decimal("1.25")))

    shop.world.advance(15_000)

    assert (await shop.desk.submit("m2", change(held, tp=Decimal("1.25")))).outcome == "Done"
    assert shop.world.broker.positions[held].sl == before.sl


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop on a netting account that holds 0.3 lots."""
    made = await Shop(World(1, netting=True), tmp_path).opened()
    await made.desk.submit("held", buy("0.3"))
    made.world.advance(60_000)
    yield made
    await made.desk.stop()


def only(shop: Shop) -> Any:
    (position,) = shop.world.broker.positions.values()
    return position


def close(ticket: int, volume: str | None = None) -> Ask:
    return Ask("close_position", ClosePosition(volume=volume and Decimal(volume)), ticket)


def sell(volume: str) -> Ask:
    body = NewOrder(symbol="EURUSD", side="sell", type="market", volume=Decimal(volume))
    return Ask("order", body)


def all_sent(shop: Shop) -> list[tuple[int, float]]:
    """Return type and lots of what is sent from now on."""
    sent: list[tuple[int, float]] = []
    good = shop.terminal._send_good

    def send(request: dict[str, Any]) -> Any:
        sent.append((request["type"], request["volume"]))
        return good(request)

    shop.terminal._send_good = send  # type: ignore[method-assign]
    return sent


@pytest.mark.parametrize("first", [sell("0.2"), close(1001, "0.2")], ids=["sell", "close"])
async def test_a_close_on_a_netting_account_knows_what_the_trade_before_left(
    net: Shop, first: Ask
) -> None:
    """Lots that are not there any more would turn the position round."""
    before, sent = only(net), all_sent(net)
    assert (await net.desk.submit("c1", first)).outcome == "Done"
    Lagging(net, before, looks=3)

    assert (await net.desk.submit("c2", close(before.ticket))).outcome == "Done"

    assert sent == [(1, 0.2), (1, 0.1)]
    assert not net.world.broker.positions


async def test_a_close_waits_for_all_trades_that_are_not_shown(net: Shop) -> None:
    before, sent = only(net), all_sent(net)
    halfway = msgspec.structs.replace(before, volume=0.2)
    late = Lagging(net, halfway, looks=3)
    Lagging(net, before, looks=4)
    await net.desk.submit("o1", sell("0.1"))
    await net.desk.submit("o2", sell("0.1"))

    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"

    assert not late.left
    assert sent == [(1, 0.1)] * 3


async def test_a_close_is_not_made_on_lots_that_may_be_gone(net: Shop) -> None:
    before = only(net)
    await net.desk.submit("c1", close(before.ticket))
    late = Lagging(net, before, looks=10_000)
    sends = net.sends

    with pytest.raises(Settling):
        await net.desk.submit("c2", close(before.ticket))

    assert net.sends == sends
    late.left = 0
    with pytest.raises(UnknownTarget):
        await net.desk.submit("c2", close(before.ticket))


async def test_the_other_slot_closes_what_the_last_trade_left(net: Shop, tmp_path: Path) -> None:
    before = only(net)
    await net.desk.submit("c1", close(before.ticket, "0.2"))
    other = Shop(net.world, tmp_path, name="b")
    await moved(net, other)
    sent = all_sent(other)
    Lagging(other, before, looks=3)

    assert (await other.desk.submit("c2", close(before.ticket))).outcome == "Done"

    assert sent == [(1, 0.1)]
    await other.desk.stop()


async def test_a_clock_that_is_set_makes_no_trade_forgotten(net: Shop) -> None:
    before = only(net)
    await net.desk.submit("o", sell("0.1"))
    late = Lagging(net, before, looks=3)
    net.world.set_clock(HOUR_MS)

    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"

    assert not late.left


async def test_a_close_waits_for_a_trade_that_may_have_been_made(net: Shop) -> None:
    before, sent = only(net), all_sent(net)
    net.terminal.fault = "ambiguous_after"
    assert (await net.desk.submit("o", sell("0.1"))).outcome == "Unknown"
    Lagging(net, before, looks=3)

    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"

    assert sent == [(1, 0.2)]


async def test_a_trade_that_was_not_made_holds_no_close_up_for_long(net: Shop) -> None:
    before = only(net)
    net.terminal.fault = "ambiguous_before"
    assert (await net.desk.submit("o", sell("0.1"))).outcome == "Unknown"
    with pytest.raises(Settling):
        await net.desk.submit("c", close(before.ticket))

    net.world.advance(15_000)

    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"


async def test_a_close_waits_for_one_that_the_broker_is_still_at(net: Shop) -> None:
    """R1, seed 3: both together would have turned the position round."""
    before, sent, broker = only(net), all_sent(net), net.world.broker
    slow = request(action=1, symbol="EURUSD", type=1, volume=Decimal("0.2"), position=before.ticket)
    taken = broker.begin(slow).order
    net.world.advance(60_000)

    with pytest.raises(Settling):
        await net.desk.submit("c", close(before.ticket))

    broker.finish(taken, slow, fill=True)
    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"
    assert sent == [(1, 0.1)]
    assert not broker.positions


async def test_an_order_that_is_not_executed_yet_holds_no_close_up_that_it_does_not_help(
    net: Shop,
) -> None:
    before, broker = only(net), net.world.broker
    broker.begin(request(action=1, symbol="EURUSD", type=0, volume=Decimal("0.2")))
    limit = {"action": 5, "symbol": "EURUSD", "type": 3, "price": Decimal("1.2")}
    broker.begin(request(volume=Decimal("0.2"), **limit))

    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"


async def test_what_others_trade_on_a_netting_account_holds_no_close_up(net: Shop) -> None:
    before, sent = only(net), all_sent(net)
    await net.desk.submit("o1", sell("0.1"))
    net.world.broker.trade_by_hand("EURUSD", 0, 0.5, magic=0, reason=0)

    assert (await net.desk.submit("c", close(before.ticket))).outcome == "Done"

    assert sent == [(1, 0.1), (1, 0.7)]


class Lagging:
    """What a terminal shows that lags: `before`, for so many looks."""

    def __init__(self, shop: Shop, before: Any, *, looks: int) -> None:
        self.left = looks
        self._before = before
        self._now = shop.terminal._positions_get
        shop.terminal._positions_get = self.look  # type: ignore[method-assign]

    def look(self, **which: Any) -> Any:
        if self.left == 0:
            return self._now(**which)
        self.left -= 1
        return [self._before]


async def test_limits_that_changed_while_a_trade_waited_hold_for_it(shop: Shop) -> None:
    send = shop.terminal._send_good

    def limits_change(request: dict[str, Any]) -> Any:
        shop.trading = Trading(enabled=True, max_volume="0.1")
        return send(request)

    shop.terminal._send_good = limits_change  # type: ignore[method-assign]
    told = await asyncio.gather(
        shop.desk.submit("k1", buy("0.1")),
        shop.desk.submit("k2", buy("5")),
        return_exceptions=True,
    )

    assert isinstance(told[1], OverLimit)
    assert shop.sends == 1


async def test_the_reconciler_goes_on_though_a_pass_fails(shop: Shop) -> None:
    shop.terminal.fault = "lost_after"
    await shop.desk.submit("k", buy())
    shop.world.restore()
    passes = 0

    async def sleep(seconds: float) -> None:
        nonlocal passes
        passes += 1
        shop.world.advance(int(seconds * 1000))
        if passes == 1:
            raise_once(shop.desk)
        if passes == 60:
            raise asyncio.CancelledError

    shop.desk._sleep = sleep
    with contextlib.suppress(asyncio.CancelledError):
        await shop.desk.reconcile_forever()

    assert (await shop.desk.outcome("k")).final


def raise_once(desk: OrderDesk) -> None:
    """Make the next pass fail."""
    once = desk._reconciler.once

    async def fails() -> None:
        desk._reconciler.once = once  # type: ignore[method-assign]
        raise RuntimeError("a bug")

    desk._reconciler.once = fails  # type: ignore[method-assign]


async def test_a_close_that_was_planned_too_long_ago_closes_what_is_left_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await Shop(World(1, netting=True), tmp_path).opened()
    await shop.desk.submit("k", buy("0.3"))
    (ticket,) = shop.world.broker.positions
    info, slow = shop.terminal._symbol_info, [True]

    def slow_once(name: str) -> Any:
        if slow and slow.pop():
            shop.world.advance(2000)
            shop.world.broker.trade_by_hand("EURUSD", 1, 0.2, magic=0, reason=0)
        return info(name)

    monkeypatch.setattr(shop.terminal, "_symbol_info", slow_once)
    closed = await shop.desk.submit("c", Ask("close_position", ClosePosition(), ticket=ticket))

    assert (closed.outcome, closed.volume) == ("Done", Decimal("0.1"))
    assert shop.world.broker.positions == {}
    await shop.desk.stop()
