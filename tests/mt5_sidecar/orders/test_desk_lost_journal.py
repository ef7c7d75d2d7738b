# SPDX-License-Identifier: Apache-2.0
"""A journal that is new, or from a backup: what an earlier life sent is not sent again."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from order_world.shop import HOUR_MS, Shop, buy, close, sell
from order_world.terminal import World

from mt5_sidecar.errors import (
    TerminalTimeout,
)
from mt5_sidecar.orders.errors import (
    KeyOfEarlierLife,
    KeyReused,
    KeyUnknown,
    Reconciling,
    Settling,
)


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
