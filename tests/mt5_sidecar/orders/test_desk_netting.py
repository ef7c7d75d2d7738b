# SPDX-License-Identifier: Apache-2.0
"""Netting accounts: a close never turns the position round."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from order_world.shop import HOUR_MS, Lagging, Shop, buy, close, moved, only, sell
from order_world.terminal import World

from mt5_sidecar.orders import (
    Ask,
    ClosePosition,
)
from mt5_sidecar.orders.errors import (
    Settling,
    UnknownTarget,
)
from mt5_sidecar.orders.requests import request


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop on a netting account that holds 0.3 lots."""
    made = await Shop(World(1, netting=True), tmp_path).opened()
    await made.desk.submit("held", buy("0.3"))
    made.world.advance(60_000)
    yield made
    await made.desk.stop()


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
