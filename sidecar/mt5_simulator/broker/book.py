# SPDX-License-Identifier: Apache-2.0
"""An account's book: what it holds, what waits, what was done. Times are UTC milliseconds."""

from typing import Literal

import msgspec

Side = Literal[0, 1]
"""POSITION_TYPE_BUY, POSITION_TYPE_SELL; also DEAL_TYPE_ and ORDER_TYPE_ of market orders."""


class Position(msgspec.Struct):
    """An open position. On a netting account there is at most one of a symbol."""

    ticket: int
    symbol: str
    side: Side
    volume: float
    price_open: float
    opened_ms: int
    updated_ms: int
    sl: float = 0.0
    tp: float = 0.0
    magic: int = 0
    comment: str = ""
    reason: int = 0
    swap_kept: float = 0.0
    """Dollars of swap until `swap_since_ms`, or until it was opened when that is 0."""
    swap_since_ms: int = 0


class Order(msgspec.Struct):
    """An order that waits, or one of history once `done_ms` is set."""

    ticket: int
    symbol: str
    type: int
    volume: float
    price: float
    setup_ms: int
    state: int = 1  # ORDER_STATE_PLACED
    volume_left: float = 0.0
    stop_limit_price: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    magic: int = 0
    comment: str = ""
    reason: int = 0
    type_time: int = 0
    type_filling: int = 0
    expiration: int = 0
    position: int = 0
    done_ms: int = 0
    position_by: int = 0


class Deal(msgspec.Struct):
    """What was done. `side` 2 is a balance operation."""

    ticket: int
    order: int
    position: int
    symbol: str
    side: int
    entry: int
    volume: float
    price: float
    when_ms: int
    profit: float = 0.0
    magic: int = 0
    comment: str = ""
    reason: int = 0
    swap: float = 0.0


class Book(msgspec.Struct):
    """All of an account that the broker keeps: enough to go on after any restart."""

    login: int
    server: str
    next_ticket: int
    deposit: float
    positions: dict[int, Position] = {}
    orders: dict[int, Order] = {}
    past_orders: list[Order] = []
    deals: list[Deal] = []
    netting: bool = False

    def ticket(self) -> int:
        """Return a ticket that nothing else has."""
        self.next_ticket += 1
        return self.next_ticket

    @property
    def balance(self) -> float:
        """Return deposits and results of all deals."""
        return round(sum(deal.profit + deal.swap for deal in self.deals), 2)
