# SPDX-License-Identifier: Apache-2.0
"""A desk at which all calls are good unless a test says otherwise, and what tests ask of it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mt5_sidecar.orders import (
    Ask,
    ClosePosition,
    ModifyPosition,
    NewOrder,
)
from order_world.house import House
from order_world.terminal import World

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


async def moved(shop: Shop, other: Shop) -> None:
    """Let the account's other slot trade."""
    await shop.desk.activation.fence()
    exported = await shop.desk.activation.export()
    other.epoch = shop.desk.activation.epoch + 1
    await other.begin(adopt=exported)
    other.terminal.quiet = True
    await other.desk.reconcile()


def change(ticket: int | None, **stops: Any) -> Ask:
    assert ticket
    return Ask("modify_position", ModifyPosition(**stops), ticket)


def only(shop: Shop) -> Any:
    (position,) = shop.world.broker.positions.values()
    return position


def close(ticket: int, volume: str | None = None) -> Ask:
    return Ask("close_position", ClosePosition(volume=volume and Decimal(volume)), ticket)


def sell(volume: str) -> Ask:
    body = NewOrder(symbol="EURUSD", side="sell", type="market", volume=Decimal(volume))
    return Ask("order", body)


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
