# SPDX-License-Identifier: Apache-2.0
"""The desk: a key is carried out once, within the limits, in its turn."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from order_world.records import symbol_info
from order_world.shop import DAY_MS, HOUR_MS, Shop, buy
from order_world.terminal import World

from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.errors import (
    TerminalRefused,
    TerminalUnavailable,
    TradingDisabled,
    UnknownSymbol,
)
from mt5_sidecar.orders import (
    Ask,
    CancelOrder,
    ClosePosition,
)
from mt5_sidecar.orders.errors import (
    BadKey,
    BrokenLimit,
    Busy,
    Fenced,
    KeyInFlight,
    KeyReused,
    KeyUnknown,
    NoPrice,
    OverLimit,
    Stopping,
    TooManyOrders,
    UnknownTarget,
)


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


async def test_a_symbol_that_the_broker_spells_otherwise_is_another_symbol(shop: Shop) -> None:
    """Its orders would carry the broker's spelling, and not be found by the client's."""
    shop.terminal._symbol_info = lambda _name: symbol_info("EURUSD")  # type: ignore[method-assign]
    other = msgspec.structs.replace(buy().body, symbol="eurusd")

    with pytest.raises(UnknownSymbol):
        await shop.desk.submit("k", Ask("order", other))

    assert shop.sends == 0


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


async def test_check_asks_the_terminal_and_sends_nothing(shop: Shop) -> None:
    shop.trading = Trading()
    asked: list[Any] = []
    shop.terminal._order_check = asked.append  # type: ignore[attr-defined]

    await shop.desk.check(buy())

    assert asked[0]["action"] == 1
    assert shop.sends == 0


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
