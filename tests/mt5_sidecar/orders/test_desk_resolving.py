# SPDX-License-Identifier: Apache-2.0
"""A person says which order an ambiguous outcome is: once, of what is there; nothing is sent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from order_world.shop import Shop, buy, moved
from order_world.terminal import SETTLE_MS, World

from mt5_sidecar.orders import Outcome
from mt5_sidecar.orders.errors import (
    Fenced,
    JournalFailed,
    KeyUnknown,
    LookalikeUnknown,
    NotACandidate,
    NotAmbiguous,
    Settling,
)

OPS = "key:ops"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A broker that rewrites comments."""
    made = await Shop(World(1, comments="drop"), tmp_path).opened()
    yield made
    if not made.dead:
        await made.desk.stop()


async def ambiguous(shop: Shop, *, strangers: int = 1, wait: bool = True) -> list[int]:
    """Lose the answer to an order of which there are others just like it; return them all."""
    shop.terminal.fault = "ambiguous_after"
    await shop.desk.submit("k", buy(magic=7))
    for _ in range(strangers):
        shop.world.broker.trade_by_hand("EURUSD", 0, 0.1, magic=7, reason=3)
    if wait:
        shop.world.advance(4 * SETTLE_MS)
        await shop.desk.reconcile()
        assert shop.desk.unknown == {"k": "Ambiguous"}
    return sorted(shop.world.broker.past)


def unreplayed(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, replayed=False)


async def test_the_outcome_says_among_which_orders_a_person_must_choose(shop: Shop) -> None:
    ours, theirs = await ambiguous(shop)

    told = await shop.desk.outcome("k")

    assert (told.reason, told.final) == ("Ambiguous", False)
    assert f"{ours}, {theirs}" in told.detail


async def test_what_a_person_says_is_the_end_of_it_and_nothing_is_sent(shop: Shop) -> None:
    ours, theirs = await ambiguous(shop)
    sends = shop.sends

    said = await shop.desk.resolve("k", ours, by=OPS)

    assert (said.outcome, said.order, said.evidence, said.final) == ("Done", ours, "person", True)
    assert shop.desk.unknown == {}
    # Said again, by whomever, or something else: nothing changes.
    again = await shop.desk.resolve("k", ours, by="key:other")
    assert again.replayed
    assert unreplayed(again) == said
    for other in (theirs, 0):
        with pytest.raises(NotAmbiguous):
            await shop.desk.resolve("k", other, by=OPS)
    assert unreplayed(await shop.desk.outcome("k")) == said
    assert unreplayed(await shop.desk.submit("k", buy(magic=7))) == said
    assert shop.sends == sends
    record = await shop.desk._ledger.journal.get("k")
    assert record is not None
    assert (record.verdict.said_by, record.ended_ms) == (OPS, shop.world.clock())


async def test_a_trade_like_it_goes_on_once_a_person_has_said_that_it_was_none(shop: Shop) -> None:
    await ambiguous(shop)
    with pytest.raises(LookalikeUnknown):
        await shop.desk.submit("next", buy(magic=7))

    assert (await shop.desk.resolve("k", 0, by=OPS)).outcome == "NotSent"

    assert (await shop.desk.submit("next", buy(magic=7))).outcome == "Done"


async def test_an_order_that_was_named_belongs_to_no_other_key(shop: Shop) -> None:
    ours, theirs = await ambiguous(shop)
    await shop.desk.resolve("k", ours, by=OPS)
    shop.terminal.fault = "ambiguous_after"
    await shop.desk.submit("next", buy(magic=7))
    shop.world.advance(4 * SETTLE_MS)
    await shop.desk.reconcile()

    with pytest.raises(NotACandidate) as refused:
        await shop.desk.resolve("next", ours, by=OPS)

    newest = max(shop.world.broker.past)
    assert sorted(refused.value.extra["candidates"]) == [theirs, newest]


async def test_two_people_cannot_say_different_things(shop: Shop) -> None:
    ours, theirs = await ambiguous(shop)

    said = await asyncio.gather(
        *(shop.desk.resolve("k", order, by=OPS) for order in (ours, theirs)),
        return_exceptions=True,
    )

    (told,) = [end for end in said if isinstance(end, Outcome)]
    assert unreplayed(await shop.desk.outcome("k")) == told


async def test_nobody_may_say_before_all_such_orders_must_be_shown(shop: Shop) -> None:
    ours, *_ = await ambiguous(shop, wait=False)
    shop.world.advance(3_000)

    for order in (ours, 0):
        with pytest.raises(Settling):
            await shop.desk.resolve("k", order, by=OPS)

    assert list(shop.desk.unknown) == ["k"]


async def test_nobody_may_say_what_a_look_tells_or_of_a_key_that_is_not_known(shop: Shop) -> None:
    ours, *_ = await ambiguous(shop, strangers=0, wait=False)
    shop.world.advance(4 * SETTLE_MS)

    with pytest.raises(NotAmbiguous):
        await shop.desk.resolve("k", 0, by=OPS)
    with pytest.raises(KeyUnknown):
        await shop.desk.resolve("other", ours, by=OPS)

    await shop.desk.reconcile()
    assert (await shop.desk.outcome("k")).evidence == "shape"
    with pytest.raises(NotAmbiguous):
        await shop.desk.resolve("k", ours, by=OPS)


async def test_while_the_terminal_is_away_nobody_may_say(shop: Shop) -> None:
    ours, *_ = await ambiguous(shop)
    shop.world.lose_link(60_000)

    with pytest.raises(Settling):
        await shop.desk.resolve("k", ours, by=OPS)


async def test_a_word_that_cannot_be_written_is_not_taken(shop: Shop) -> None:
    ours, *_ = await ambiguous(shop)
    assert shop.store is not None
    shop.store.fail_at = 1

    with pytest.raises(JournalFailed):
        await shop.desk.resolve("k", ours, by=OPS)

    assert list(shop.desk.unknown) == ["k"]
    assert (await shop.desk.resolve("k", ours, by=OPS)).final


async def test_the_slot_that_trades_takes_the_word_and_no_other(shop: Shop, tmp_path: Path) -> None:
    ours, theirs = await ambiguous(shop)
    other = Shop(shop.world, tmp_path, name="b")
    await moved(shop, other)

    with pytest.raises(Fenced):
        await shop.desk.resolve("k", ours, by=OPS)

    shop.world.advance(4 * SETTLE_MS)
    assert (await other.desk.resolve("k", theirs, by=OPS)).order == theirs
    await other.desk.stop()


async def test_a_slot_that_is_fenced_during_the_look_takes_no_word(shop: Shop) -> None:
    ours, *_ = await ambiguous(shop)
    fencing: asyncio.Future[None] | None = None
    read = shop.terminal._positions_get

    def fenced(**which: object) -> object:
        nonlocal fencing
        fencing = asyncio.ensure_future(shop.desk.activation.fence())
        return read(**which)

    shop.terminal._positions_get = fenced  # type: ignore[method-assign]

    with pytest.raises(Fenced):
        await shop.desk.resolve("k", ours, by=OPS)
    assert fencing is not None
    await fencing
    assert list(shop.desk.unknown) == ["k"]


async def test_a_desk_that_stops_finishes_what_a_person_says(shop: Shop) -> None:
    ours, *_ = await ambiguous(shop)
    word = asyncio.ensure_future(shop.desk.resolve("k", ours, by=OPS))
    while not shop.desk.waiting:  # noqa: ASYNC110  it is begun in some turns of the loop
        await asyncio.sleep(0)

    await shop.desk.stop()
    shop.terminal.dead = True

    assert word.done()
    assert (await word).order == ours
