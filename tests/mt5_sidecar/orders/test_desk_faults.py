# SPDX-License-Identifier: Apache-2.0
"""A disk that fails: what cannot be written is not sent."""

from typing import Any

import pytest
from order_world.shop import Shop, buy

from mt5_sidecar.orders.errors import (
    JournalFailed,
)


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
