# SPDX-License-Identifier: Apache-2.0
"""Changes of positions and orders: what is left out stays as the change before left it."""

import asyncio
from decimal import Decimal

import pytest
from order_world.shop import Lagging, Shop, buy, change

from mt5_sidecar.orders import (
    Ask,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
)
from mt5_sidecar.orders.errors import (
    Settling,
)


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
