# SPDX-License-Identifier: Apache-2.0
"""Read what a plan needs, then plan: the one place that knows which operation needs what."""

from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.orders.bodies import (
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
)
from mt5_sidecar.orders.market import Market
from mt5_sidecar.orders.netting import net
from mt5_sidecar.orders.planning.new_order import plan_order
from mt5_sidecar.orders.planning.position import plan_close, plan_close_by, plan_modify_position
from mt5_sidecar.orders.planning.terms import Plan, Terms
from mt5_sidecar.orders.planning.waiting_order import plan_cancel, plan_modify_order
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.rules.account import check_new_order
from mt5_sidecar.orders.rules.volumes import check_volume_limit
from mt5_sidecar.orders.settings import OrderSettings


class Preparer:
    """Turns a record into a plan, or raises why it cannot be."""

    def __init__(self, market: Market, settings: OrderSettings) -> None:
        self._market = market
        self._settings = settings

    async def plan(
        self, record: Record, *, trading: Trading, utc_offset_s: int | None, now_ms: int
    ) -> Plan:
        """Return the checked request of `record`.

        Raises:
            BadTrade, UnknownSymbol, OverLimit: It does not fit.
            NoPrice, BrokerTimeUnknown, mt5_sidecar.errors.Unavailable: Not now.
        """
        terms = Terms(
            hedging=await self._market.hedging(),
            utc_offset_s=utc_offset_s,
            deviation_points=self._settings.deviation_points,
            now_s=now_ms // 1000,
        )
        if isinstance(record.ask.body, NewOrder):
            return await self._new_order(record, record.ask.body, trading, terms)
        if isinstance(record.ask.body, ModifyOrder | CancelOrder):
            return await self._waiting_order(record, record.ask.body, terms)
        return await self._position(record, record.ask.body, terms)

    async def _new_order(
        self, record: Record, body: NewOrder, trading: Trading, terms: Terms
    ) -> Plan:
        check_new_order(body.symbol, body.volume, trading)
        symbol = await self._market.symbol(body.symbol, priced=True)
        plan = plan_order(record, body, symbol, terms)
        if symbol.volume_limit:
            held = await self._market.held(body.symbol, buying=body.side == "buy")
            check_volume_limit(body.volume, held, symbol)
        if body.type != "market" or terms.hedging:
            return plan
        return plan.on_lots(await self._market.net(body.symbol))

    async def _waiting_order(
        self, record: Record, body: ModifyOrder | CancelOrder, terms: Terms
    ) -> Plan:
        if isinstance(body, ModifyOrder):
            order = await self._market.changed_order(record.ask.ticket)
            symbol = await self._market.symbol(order.symbol, priced=True)
            return plan_modify_order(body, order, symbol, terms)
        order = await self._market.order(record.ask.ticket)
        return plan_cancel(order, await self._market.symbol(order.symbol, priced=False), terms)

    async def _position(
        self, record: Record, body: ModifyPosition | ClosePosition | CloseBy, terms: Terms
    ) -> Plan:
        if isinstance(body, ModifyPosition):
            held = await self._market.changed_position(record.ask.ticket)
            symbol = await self._market.symbol(held.symbol, priced=True)
            return plan_modify_position(body, held, symbol, terms)
        held = await self._market.closing_position(record.ask.ticket)
        symbol = await self._market.symbol(held.symbol, priced=not isinstance(body, CloseBy))
        if isinstance(body, ClosePosition):
            plan = plan_close(record, body, held, symbol, terms)
            return plan if terms.hedging else plan.on_lots(net([held]))
        other = await self._market.position(body.position_by)
        return plan_close_by(record, body, (held, other), symbol, terms)
