# SPDX-License-Identifier: Apache-2.0
"""What a plan needs to know of the account and its symbols, read from the terminal when asked."""

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

from mt5_agent.protocol import AccountInfo, Order, Position, SymbolInfo
from mt5_sidecar.domain.patience import awaited
from mt5_sidecar.errors import TerminalRefused, UnknownSymbol
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.changes import LastChanges
from mt5_sidecar.orders.errors import NoPrice, Settling, UnknownTarget
from mt5_sidecar.orders.netting import Netting, net
from mt5_sidecar.orders.outcomes import Verdict
from mt5_sidecar.orders.ports import Terminal
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.rules.volumes import held_volume
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.symbols import Symbol, symbol

T = TypeVar("T")


class Market:
    """Reads of one terminal. Each may raise what `Terminal.call` raises.

    `steady`: milliseconds of a clock that nobody sets.
    """

    def __init__(
        self,
        terminal: Terminal,
        settings: OrderSettings,
        sleep: Callable[[float], Awaitable[None]],
        steady: Callable[[], int],
    ) -> None:
        self._terminal = terminal
        self._settings = settings
        self._sleep = sleep
        kept_ms = int(settings.settle_s * 1000)
        self._changes = LastChanges(kept_ms=kept_ms, clock=steady)
        # A plan is so old at most when it is sent.
        planned_ms = int(settings.plan_max_age_s * 1000)
        self._netting = Netting(kept_ms=kept_ms + planned_ms, clock=steady)
        self._hedging: tuple[int, bool] | None = None

    def made(self, record: Record, verdict: Verdict, *, began_ms: int) -> None:
        """Remember a trade that was carried out, or may have been: it may not be shown yet.

        `began_ms`: when it was sent, by the steady clock.
        """
        if verdict.outcome in ("Done", "Placed"):
            self._changes.made(record)
        if verdict.outcome not in ("Refused", "NotSent"):
            self._netting.made(record, verdict, began_ms=began_ms)

    async def hedging(self) -> bool:
        """Tell whether positions of a symbol are kept apart; read once a connection."""
        since_ms = self._terminal.since_ms
        if self._hedging is None or self._hedging[0] != since_ms:
            account: AccountInfo = await self._terminal.call("account_info")
            found = account.margin_mode == mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
            self._hedging = (since_ms, found)
        return self._hedging[1]

    async def symbol(self, name: str, *, priced: bool) -> Symbol:
        """Return the symbol's limits and prices; `priced`: wait for its first price.

        Raises:
            UnknownSymbol: The broker has no such symbol.
            NoPrice: None came in time.
        """
        info = await self._info(name)
        if not info.select:
            await self._of_symbol("symbol_select", name, True)  # noqa: FBT003  positional only
        return await self._priced(symbol(info)) if priced else symbol(info)

    async def position(self, ticket: int) -> Position:
        """Return an open position.

        Raises:
            UnknownTarget: It is not open.
        """
        found: list[Position] = await self._terminal.call("positions_get", ticket=ticket)
        if not found:
            raise UnknownTarget(f"no open position {ticket}", ticket=ticket)
        return found[0]

    async def changed_position(self, ticket: int) -> Position:
        """Return an open position as its last change left it.

        Raises:
            UnknownTarget: It is not open.
            Settling: The terminal does not show that change yet.
        """
        return await self._shown(lambda: self.position(ticket), self._changes.shown)

    async def closing_position(self, ticket: int) -> Position:
        """Return an open position with the lots that the last trade left of it.

        Raises:
            UnknownTarget: It is not open.
            Settling: On a netting account: that trade is not carried out, or not shown yet.
        """
        held = await self.position(ticket)
        if await self.hedging():
            return held

        async def look() -> tuple[list[Order], Position]:
            # Orders first: what is carried out meanwhile shows in the position.
            orders = await self._terminal.call("orders_get", symbol=held.symbol)
            return orders, await self.position(ticket)

        _, shown = await self._shown(look, lambda seen: self._closable(*seen))
        return shown

    async def net(self, name: str) -> Decimal:
        """Return the lots that are shown of a symbol of a netting account, below 0 if sold."""
        return net(await self._terminal.call("positions_get", symbol=name))

    async def changed_order(self, ticket: int) -> Order:
        """Return a waiting order as its last change left it.

        Raises:
            UnknownTarget: It does not wait.
            Settling: The terminal does not show that change yet.
        """
        return await self._shown(lambda: self.order(ticket), self._changes.shown)

    async def order(self, ticket: int) -> Order:
        """Return a waiting order.

        Raises:
            UnknownTarget: It does not wait.
        """
        found: list[Order] = await self._terminal.call("orders_get", ticket=ticket)
        if not found:
            raise UnknownTarget(f"no waiting order {ticket}", ticket=ticket)
        return found[0]

    async def held(self, name: str, *, buying: bool) -> Decimal:
        """Return the lots of one direction that are open or wait."""
        positions = await self._terminal.call("positions_get", symbol=name)
        orders = await self._terminal.call("orders_get", symbol=name)
        return held_volume(name, buying=buying, positions=positions, orders=orders)

    def _closable(self, orders: Iterable[Order], held: Position) -> bool:
        """Tell whether no close is still to come, and the lots are not those before the last."""
        closing = mt5.ORDER_TYPE_SELL if held.type == 0 else mt5.ORDER_TYPE_BUY
        return self._netting.shown(held) and all(order.type != closing for order in orders)

    async def _shown(self, read: Callable[[], Awaitable[T]], shown: Callable[[T], bool]) -> T:
        target = await awaited(
            await read(),
            read,
            shown,
            timeout_s=self._settings.change_shown_timeout_s,
            interval_s=self._settings.change_shown_interval_s,
            sleep=self._sleep,
        )
        if not shown(target):
            raise Settling("the terminal does not show its last change yet", retry_after_s=1)
        return target

    async def _info(self, name: str) -> SymbolInfo:
        info: SymbolInfo = await self._of_symbol("symbol_info", name)
        if info.name != name:
            # Orders carry the broker's own spelling, and are looked for by what was asked for.
            raise UnknownSymbol(f"the broker has no symbol {name}, but {info.name}")
        return info

    async def _of_symbol(self, call: str, name: str, *args: Any) -> Any:
        with TerminalRefused.of_symbol(f"the broker has no symbol {name}, or does not show it"):
            return await self._terminal.call(call, name, *args)

    async def _priced(self, seen: Symbol) -> Symbol:
        async def look() -> Symbol:
            return symbol(await self._info(seen.name))

        # Source: MT5.md 5: the first tick after selection is zero for up to 2 s.
        seen = await awaited(
            seen,
            look,
            lambda shown: shown.has_price,
            timeout_s=self._settings.first_tick_timeout_s,
            interval_s=self._settings.first_tick_interval_s,
            sleep=self._sleep,
        )
        if not seen.has_price:
            raise NoPrice(f"{seen.name} has no price yet", retry_after_s=1)
        return seen
