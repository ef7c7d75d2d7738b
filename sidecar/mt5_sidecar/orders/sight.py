# SPDX-License-Identifier: Apache-2.0
"""What was seen of the account in one look, and what must be known to judge it."""

from dataclasses import dataclass, field

from mt5_agent.protocol import Deal, Order, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look at everything that an order can be: taken in the order in which orders move on,
    so that one that moves during the look is seen twice rather than never.

    `taken_ms` is when the look began, `connected_ms` since when the terminal had been connected
    without a break (UTC). `whole`: history has the order that is known to exist.
    """

    taken_ms: int
    connected_ms: int
    utc_offset_s: int | None = None
    orders: tuple[Order, ...] = ()
    positions: tuple[Position, ...] = ()
    past_orders: tuple[Order, ...] = ()
    deals: tuple[Deal, ...] = ()
    claimed: frozenset[int] = field(default_factory=frozenset)
    whole: bool = True

    @property
    def all_orders(self) -> tuple[Order, ...]:
        """Return waiting and past orders."""
        return (*self.orders, *self.past_orders)

    @property
    def everything(self) -> tuple[Order | Position | Deal, ...]:
        """Return all that can have a mark of ours."""
        return (*self.all_orders, *self.positions, *self.deals)
