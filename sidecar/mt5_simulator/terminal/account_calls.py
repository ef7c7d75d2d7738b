# SPDX-License-Identifier: Apache-2.0
"""Calls about the account: what it is worth, holds and did. Each method is the call of its name."""

from mt5_simulator.broker import rows
from mt5_simulator.broker.book import Deal, Order
from mt5_simulator.broker.clock import broker_ms
from mt5_simulator.terminal.groups import chosen, wanted
from mt5_simulator.terminal.view import View


class AccountCalls:
    """What the logged-in account's book says."""

    def __init__(self, view: View) -> None:
        """Answer from `view`."""
        self._view = view

    def account_info(self) -> rows.Row | None:
        book = self._view.session.book
        if book is None:
            return None
        trades = not self._view.scenario.investor
        return rows.account_row(book, self._view.prices(), trades=trades)

    def positions_get(self, symbol: str, ticket: int, group: str) -> list[rows.Row]:
        prices = self._view.prices()
        return [
            rows.position_row(position, prices)
            for position in self._view.book.positions.values()
            if wanted(position.ticket, position.symbol, symbol=symbol, ticket=ticket, group=group)
        ]

    def orders_get(self, symbol: str, ticket: int, group: str) -> list[rows.Row]:
        prices = self._view.prices()
        return [
            rows.order_row(order, prices)
            for order in self._view.book.orders.values()
            if wanted(order.ticket, order.symbol, symbol=symbol, ticket=ticket, group=group)
        ]

    def history_orders_get(
        self, begin_s: int, end_s: int, group: str, ticket: int, position: int
    ) -> list[rows.Row]:
        prices = self._view.prices()

        def asked(order: Order) -> bool:
            if ticket or position:
                return ticket == order.ticket or (position != 0 and position == order.position)
            in_time = begin_s <= broker_ms(order.done_ms) // 1000 <= end_s
            return in_time and chosen(order.symbol, group)

        return [rows.order_row(o, prices) for o in self._view.book.past_orders if asked(o)]

    def history_deals_get(
        self, begin_s: int, end_s: int, group: str, ticket: int, position: int
    ) -> list[rows.Row]:
        def asked(deal: Deal) -> bool:
            if ticket or position:  # a deal's `ticket` filter names its order, as in the package
                return ticket == deal.order != 0 or (position != 0 and position == deal.position)
            in_time = begin_s <= broker_ms(deal.when_ms) // 1000 <= end_s
            return in_time and chosen(deal.symbol, group)

        return [rows.deal_row(deal) for deal in self._view.book.deals if asked(deal)]
