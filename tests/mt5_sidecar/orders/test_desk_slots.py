# SPDX-License-Identifier: Apache-2.0
"""Two slots: who trades, and what the other is handed."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from order_world.shop import DAY_MS, Lagging, Shop, buy, change, moved
from order_world.terminal import Killed, World

from mt5_sidecar.errors import (
    InvalidRequest,
)
from mt5_sidecar.orders.errors import (
    Fenced,
    HandoverUnreadable,
    JournalForeign,
    KeyUnknown,
    Reconciling,
    Settling,
)


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


async def test_a_handover_that_cannot_be_read_leaves_this_slots_own_journal_well(
    shop: Shop,
) -> None:
    assert (await shop.desk.submit("k1", buy())).outcome == "Done"
    await shop.desk.activation.fence()
    exported = await shop.desk.activation.export()
    broken = exported.replace(b'"operation":"order"', b'"operation":"other"')
    assert broken != exported

    with pytest.raises(HandoverUnreadable):
        await shop.desk.activation.adopt(broken)

    assert shop.desk.journal_fault is None
