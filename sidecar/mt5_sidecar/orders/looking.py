# SPDX-License-Identifier: Apache-2.0
"""Look at everything that an order can be, once, on one unbroken connection."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mt5_agent.protocol import Deal, Order, Position, ProtocolError
from mt5_sidecar.errors import Unavailable
from mt5_sidecar.orders.ports import Terminal
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.sight import Sight

# Where the broker's zone is not known yet: wider than any zone.
WIDEST_OFFSET_S: Final = 14 * 3600


class Looker:
    """Looks for orders; never changes anything."""

    def __init__(
        self, terminal: Terminal, settings: OrderSettings, clock: Callable[[], int]
    ) -> None:
        self._terminal = terminal
        self._settings = settings
        self._clock = clock

    @property
    def connected_ms(self) -> int | None:
        """Since when the terminal is connected; None while it is not."""
        return self._terminal.since_ms if self._terminal.connection.connected else None

    async def look(
        self,
        *,
        from_ms: int,
        known: Sequence[int] = (),
        claimed: Iterable[int] = (),
        targets: Iterable[int] = (),
    ) -> Sight | None:
        """Return what is there since `from_ms` (UTC); None where it could not be seen whole.

        `known`: tickets of orders that exist, oldest first. `claimed`: of other orders that belong
        to a key. `targets`: old orders to look up.
        """
        connection, since_ms = self._terminal.connection, self._terminal.since_ms
        if not connection.connected:
            return None
        taken_ms = self._clock()
        try:
            # Orders move from here to there in this order, so none slips through.
            orders: list[Order] = await self._terminal.call("orders_get")
            positions: list[Position] = await self._terminal.call("positions_get")
            past = await self._past_orders(from_ms, targets)
            deals: list[Deal] = await self._terminal.call(
                "history_deals_get", *self._window(from_ms)
            )
        except (Unavailable, ProtocolError):
            return None
        if not self._terminal.connection.connected or self._terminal.since_ms != since_ms:
            return None
        return Sight(
            taken_ms=taken_ms,
            connected_ms=since_ms,
            utc_offset_s=connection.utc_offset_s,
            orders=tuple(orders),
            positions=tuple(positions),
            past_orders=tuple(past),
            deals=tuple(deals),
            claimed=frozenset((*known, *claimed)),
            whole=_whole(known, [*orders, *past]),
        )

    async def _past_orders(self, from_ms: int, targets: Iterable[int]) -> list[Order]:
        past: list[Order] = await self._terminal.call("history_orders_get", *self._window(from_ms))
        seen = {order.ticket for order in past}
        for ticket in set(targets) - seen:
            past = [*past, *await self._terminal.call("history_orders_get", ticket=ticket)]
        return past

    def _window(self, from_ms: int) -> tuple[int, int]:
        offset_s = self._terminal.connection.utc_offset_s
        early_s = -WIDEST_OFFSET_S if offset_s is None else offset_s
        late_s = WIDEST_OFFSET_S if offset_s is None else offset_s
        from_s = from_ms // 1000 + early_s - int(self._settings.window_before_s)
        to_s = self._clock() // 1000 + late_s + int(self._settings.window_after_s)
        return max(0, from_s), to_s


def _whole(known: Sequence[int], seen: Iterable[Order]) -> bool:
    return not known or not {order.ticket for order in seen}.isdisjoint(known[-1:])
