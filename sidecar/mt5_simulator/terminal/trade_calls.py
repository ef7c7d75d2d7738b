# SPDX-License-Identifier: Apache-2.0
"""Calls that trade, or say what a trade would do. Each method is the call of its name."""

from typing import Any

import msgspec

from mt5_simulator import constants as mt5
from mt5_simulator.broker import trading
from mt5_simulator.broker.requests import TradeRequest, market_price, refusal
from mt5_simulator.broker.valuation import Prices
from mt5_simulator.terminal.view import View


class ReplyLost(Exception):
    """The scenario wants an order to be carried out and its answer to be lost."""


class TradeCalls:
    """Requests to the broker, with what its scenario does to them."""

    def __init__(self, view: View) -> None:
        """Trade on the book of `view`."""
        self._view = view
        self._requoted: dict[tuple[Any, ...], int] = {}

    def order_send(self, raw: list[Any]) -> list[Any]:
        """Carry out a request.

        Raises:
            ReplyLost: It was carried out, and the package must not hear of it.
        """
        request, prices = msgspec.convert(raw, TradeRequest), self._view.prices()
        result = self._result(request, prices)
        if result.order and self._view.scenario.loses_replies:
            raise ReplyLost
        bid, ask = _sides(request, prices)
        return [
            *(result.retcode, result.deal, result.order, result.volume, result.price, bid, ask),
            *(result.comment, self._view.clock() % 2**31, 0, raw),
        ]

    def order_check(self, raw: list[Any]) -> list[Any]:
        request, prices = msgspec.convert(raw, TradeRequest), self._view.prices()
        code = refusal(request, self._view.book, prices)
        worth, margin = prices.worth(self._view.book), 0.0
        if symbol := prices.symbols.get(request.symbol):
            price = request.price or market_price(request, prices)
            margin = 0.0 if request.position else prices.margin(symbol, request.volume, price)
        bound = round(worth.margin + margin, 2)
        level = round(worth.equity / bound * 100, 2) if bound else 0.0
        words = trading.Result(code).comment if code else "Done"
        free = round(worth.equity - bound, 2)
        return [code, worth.balance, worth.equity, worth.profit, bound, free, level, words, raw]

    def order_calc_margin(self, side: int, name: str, volume: float, price: float) -> float | None:
        prices = self._view.prices()
        symbol = prices.symbols.get(name)
        return None if symbol is None or side > 1 else prices.margin(symbol, volume, price)

    def order_calc_profit(
        self, side: int, name: str, volume: float, price_open: float, price_close: float
    ) -> float | None:
        prices = self._view.prices()
        symbol = prices.symbols.get(name)
        if symbol is None or side > 1:
            return None
        moved = price_close - price_open if side == 0 else price_open - price_close
        return prices.realised(symbol, moved, volume)

    def _result(self, request: TradeRequest, prices: Prices) -> trading.Result:
        if not self._view.session.connected:
            return trading.Result(mt5.TRADE_RETCODE_CONNECTION)
        if not self._view.scenario.autotrading:
            return trading.Result(mt5.TRADE_RETCODE_CLIENT_DISABLES_AT)
        if self._view.scenario.investor:
            return trading.Result(mt5.TRADE_RETCODE_TRADE_DISABLED)
        if request.action == mt5.TRADE_ACTION_DEAL and self._is_requoted(request):
            return trading.Result(mt5.TRADE_RETCODE_REQUOTE)
        result = trading.send(request, self._view.book, prices)
        self._view.save()
        return result

    def _is_requoted(self, request: TradeRequest) -> bool:
        # Not by comment or magic: a client's next try has a new key, and so other ones.
        same = (request.symbol, request.type, request.volume, request.position)
        count = self._requoted.pop(same, 0)
        if count >= self._view.scenario.requotes:
            return False
        self._requoted[same] = count + 1
        return True


def _sides(request: TradeRequest, prices: Prices) -> tuple[float, float]:
    if request.symbol not in prices.symbols:
        return 0.0, 0.0
    now = prices.quote(request.symbol)
    return now.bid, now.ask
