# SPDX-License-Identifier: Apache-2.0
"""What is unknown is looked for until it is known, by one key and for its twins."""

import asyncio
import contextlib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from order_world.shop import HOUR_MS, Shop, buy, sell
from order_world.terminal import World

from mt5_sidecar.errors import (
    TerminalTimeout,
)
from mt5_sidecar.orders import (
    Ask,
    CloseBy,
    NewOrder,
    OrderDesk,
)
from mt5_sidecar.orders.bodies import Kind
from mt5_sidecar.orders.errors import (
    LookalikeUnknown,
    Reconciling,
    Settling,
)


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


LIMITS: Final[dict[Kind, Decimal | None]] = {"limit": None, "stop_limit": Decimal("1.08")}


@pytest.mark.parametrize("kinds", [("stop_limit", "limit"), ("limit", "stop_limit")])
async def test_a_limit_order_and_a_stop_limit_that_becomes_one_wait_for_each_other(
    shop: Shop, kinds: tuple[Kind, Kind]
) -> None:
    """Else the one would be told to be the other's order, where only their shape tells them."""
    asks = {
        kind: Ask(
            "order",
            NewOrder(
                symbol="EURUSD",
                side="sell",
                type=kind,
                volume=Decimal("0.1"),
                price=Decimal("1.05") if stop_limit else Decimal("1.15"),
                stop_limit_price=stop_limit,
                magic=8,
            ),
        )
        for kind, stop_limit in LIMITS.items()
    }
    first, second = (asks[kind] for kind in kinds)
    shop.terminal.fault = "ambiguous_before"
    assert (await shop.desk.submit("k", first)).outcome == "Unknown"

    with pytest.raises(LookalikeUnknown):
        await shop.desk.submit("l", second)


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


@pytest.mark.parametrize("by_s", [3600, -3600])
async def test_an_order_from_before_the_broker_changed_its_clock_is_found_by_its_shape(
    tmp_path: Path, by_s: int
) -> None:
    shop = await Shop(World(1, comments="drop", offset_s=7200), tmp_path).opened()
    shop.terminal.fault = "ambiguous_after"
    await shop.desk.submit("k", buy(magic=7))
    ((ticket, _),) = shop.world.broker.past.items()

    # Daylight saving time begins or ends before anybody could look.
    shop.world.offset_s = shop.world.broker.offset_s = 7200 + by_s
    shop.world.advance(2 * HOUR_MS)
    await shop.desk.reconcile()

    told = await shop.desk.outcome("k")
    assert (told.outcome, told.evidence, told.order) == ("Done", "shape", ticket)
    await shop.desk.stop()
