# SPDX-License-Identifier: Apache-2.0
"""The terminal's side of each call: arguments in, rows out."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final

import msgspec

from mt5_simulator.broker import rows, symbols, trading
from mt5_simulator.broker.book import Book, Deal, Order
from mt5_simulator.broker.clock import Clock, broker_ms
from mt5_simulator.broker.requests import TradeRequest, market_price, refusal
from mt5_simulator.broker.valuation import Prices
from mt5_simulator.terminal.session import BUILD, Session
from mt5_simulator.terminal.storage import Storage

OK: Final = (1, "Success")
NOT_FOUND: Final = (-4, "Terminal: Not found")
Reply = tuple[int, str, Any]


class NeverAnswers(Exception):
    """The scenario wants this call to hang."""


class Calls:
    """Answers calls for whichever account the session has."""

    def __init__(self, session: Session, storage: Storage, clock: Clock, data_dir: str) -> None:
        """Answer from `session`."""
        self._session = session
        self._storage = storage
        self._clock = clock
        self._data_dir = data_dir
        self._selected: set[str] = {"EURUSD", "GBPUSD", "USDJPY", "XAUUSD"}

    def answer(self, name: str, args: list[Any]) -> Reply:
        """Return last_error's code and text, and the value, of the call `name`.

        Raises:
            NeverAnswers: This one hangs.
        """
        self._session.advance()
        method = _METHODS.get(name)
        if method is None:
            return -1, f"Terminal: {name} is not simulated", None
        value = method(self, *args)
        self._hang_if_asked(args)
        return (*OK, value) if value is not None else (*NOT_FOUND, None)

    def advance(self) -> None:
        """Let the session and the market go on."""
        self._session.advance()
        book = self._session.book
        if book is not None and self._session.connected and trading.advance(book, self._prices()):
            self._storage.save(book)

    def _hang_if_asked(self, args: list[Any]) -> None:
        link = self._session.link
        if link is None or not link.scenario.hangs:
            return
        named = {arg for arg in args if isinstance(arg, str)}
        named |= {arg[3] for arg in args if isinstance(arg, list) and len(arg) > 3}
        if symbols.HANGING in named:
            raise NeverAnswers

    def _prices(self) -> Prices:
        link = self._session.link
        server = link.server if link else ""
        hangs = link is not None and link.scenario.hangs
        return Prices(server, self._clock(), symbols.market(hangs=hangs))

    def _book(self) -> Book:
        return self._session.book or Book(login=0, server="", next_ticket=0, deposit=0.0)

    def _login(self, login: int, server: str, password: str) -> bool:
        self._session.login(login, server, password)
        return True

    def _verdict(self) -> tuple[str, int, str]:
        return self._session.verdict()

    def _version(self) -> tuple[int, int, str]:
        return 500, BUILD, "21 Nov 2026"

    def _terminal_info(self) -> rows.Row:
        up = self._session.connected
        return (
            *(False, False, up, False, True, False, False, False, False, False, BUILD, 100_000),
            *(0, 12_340 if up else 0, 0.0, 0.0, rows.COMPANY, "MetaTrader 5", "English"),
            *(self._data_dir, self._data_dir, self._data_dir),
        )

    def _account_info(self) -> rows.Row | None:
        book = self._session.book
        return None if book is None else rows.account_row(book, self._prices())

    def _symbols_get(self, group: str) -> list[rows.Row]:
        prices = self._prices()
        return [self._symbol_row(s, prices) for s in prices.symbols.values() if _in(s.name, group)]

    def _symbols_total(self) -> int:
        return len(self._prices().symbols)

    def _symbol_info(self, name: str) -> rows.Row | None:
        prices = self._prices()
        symbol = prices.symbols.get(name)
        return None if symbol is None else self._symbol_row(symbol, prices)

    def _symbol_row(self, symbol: symbols.Symbol, prices: Prices) -> rows.Row:
        return rows.symbol_row(symbol, prices, selected=symbol.name in self._selected)

    def _symbol_info_tick(self, name: str) -> rows.Row | None:
        prices = self._prices()
        return rows.tick_row(prices.quote(name)) if name in prices.symbols else None

    # `enable` has a place, not a name, on the wire.
    def _symbol_select(self, name: str, enable: bool) -> bool | None:  # noqa: FBT001
        if name not in self._prices().symbols:
            return None
        (self._selected.add if enable else self._selected.discard)(name)
        return True

    def _positions_get(self, symbol: str, ticket: int, group: str) -> list[rows.Row]:
        prices = self._prices()
        return [
            rows.position_row(position, prices)
            for position in self._book().positions.values()
            if _wanted(position.ticket, position.symbol, symbol, ticket, group)
        ]

    def _orders_get(self, symbol: str, ticket: int, group: str) -> list[rows.Row]:
        prices = self._prices()
        return [
            rows.order_row(order, prices)
            for order in self._book().orders.values()
            if _wanted(order.ticket, order.symbol, symbol, ticket, group)
        ]

    def _history_orders_get(
        self, begin_s: int, end_s: int, group: str, ticket: int, position: int
    ) -> list[rows.Row]:
        prices = self._prices()

        def wanted(order: Order) -> bool:
            if ticket or position:
                return ticket == order.ticket or (position != 0 and position == order.position)
            return begin_s <= broker_ms(order.done_ms) // 1000 <= end_s and _in(order.symbol, group)

        return [rows.order_row(o, prices) for o in self._book().past_orders if wanted(o)]

    def _history_deals_get(
        self, begin_s: int, end_s: int, group: str, ticket: int, position: int
    ) -> list[rows.Row]:
        def wanted(deal: Deal) -> bool:
            if ticket or position:  # a deal's `ticket` filter names its order, as in the package
                return ticket == deal.order != 0 or (position != 0 and position == deal.position)
            return begin_s <= broker_ms(deal.when_ms) // 1000 <= end_s and _in(deal.symbol, group)

        return [rows.deal_row(deal) for deal in self._book().deals if wanted(deal)]

    def _order_send(self, raw: list[Any]) -> list[Any]:
        request = msgspec.convert(raw, TradeRequest)
        book, prices = self._book(), self._prices()
        if not self._session.connected:
            result = trading.Result(10031)
        else:
            result = trading.send(request, book, prices)
            self._storage.save(book)
        bid, ask = _sides(request, prices)
        return [
            *(result.retcode, result.deal, result.order, result.volume, result.price, bid, ask),
            *(result.comment, self._clock() % 2**31, 0, raw),
        ]

    def _order_check(self, raw: list[Any]) -> list[Any]:
        request = msgspec.convert(raw, TradeRequest)
        book, prices = self._book(), self._prices()
        code = refusal(request, book, prices)
        worth, margin = prices.worth(book), 0.0
        if symbol := prices.symbols.get(request.symbol):
            price = request.price or market_price(request, prices)
            margin = 0.0 if request.position else prices.margin(symbol, request.volume, price)
        bound = round(worth.margin + margin, 2)
        level = round(worth.equity / bound * 100, 2) if bound else 0.0
        words = trading.Result(code).comment if code else "Done"
        free = round(worth.equity - bound, 2)
        return [code, worth.balance, worth.equity, worth.profit, bound, free, level, words, raw]

    def _order_calc_margin(self, side: int, name: str, volume: float, price: float) -> float | None:
        prices = self._prices()
        symbol = prices.symbols.get(name)
        return None if symbol is None or side > 1 else prices.margin(symbol, volume, price)

    def _order_calc_profit(
        self, side: int, name: str, volume: float, price_open: float, price_close: float
    ) -> float | None:
        prices = self._prices()
        symbol = prices.symbols.get(name)
        if symbol is None or side > 1:
            return None
        moved = price_close - price_open if side == 0 else price_open - price_close
        return prices.realised(symbol, moved, volume)


def _in(name: str, group: str) -> bool:
    """Tell whether `name` is of `group`: masks by comma, `!` excludes, empty is all."""
    chosen = not group
    for mask in filter(None, (part.strip() for part in group.split(","))):
        if mask.startswith("!"):
            chosen = chosen and not fnmatchcase(name, mask[1:])
        else:
            chosen = chosen or fnmatchcase(name, mask)
    return chosen


def _wanted(own: int, name: str, symbol: str, ticket: int, group: str) -> bool:
    # ticket beats symbol beats group (MT5.md 3.2)
    if ticket:
        return own == ticket
    return name == symbol if symbol else _in(name, group)


def _sides(request: TradeRequest, prices: Prices) -> tuple[float, float]:
    if request.symbol not in prices.symbols:
        return 0.0, 0.0
    now = prices.quote(request.symbol)
    return now.bid, now.ask


_METHODS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "login": Calls._login,
        "verdict": Calls._verdict,
        "version": Calls._version,
        "terminal_info": Calls._terminal_info,
        "account_info": Calls._account_info,
        "symbols_get": Calls._symbols_get,
        "symbols_total": Calls._symbols_total,
        "symbol_info": Calls._symbol_info,
        "symbol_info_tick": Calls._symbol_info_tick,
        "symbol_select": Calls._symbol_select,
        "positions_get": Calls._positions_get,
        "orders_get": Calls._orders_get,
        "history_orders_get": Calls._history_orders_get,
        "history_deals_get": Calls._history_deals_get,
        "order_send": Calls._order_send,
        "order_check": Calls._order_check,
        "order_calc_margin": Calls._order_calc_margin,
        "order_calc_profit": Calls._order_calc_profit,
    }
)
