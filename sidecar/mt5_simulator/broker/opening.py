# SPDX-License-Identifier: Apache-2.0
"""The book that a login begins with: the same for the same server and login, on any machine, at any
time."""

from typing import Final

from mt5_simulator.broker.book import Book, Deal, Order, Position, Side
from mt5_simulator.broker.noise import mixed, seed_of, share
from mt5_simulator.broker.quotes import Quote
from mt5_simulator.broker.symbols import MARKET
from mt5_simulator.broker.valuation import Prices

OPENED_MS: Final = 1_748_822_400_000
"""2025-06-02T00:00Z: when every simulated account was opened. Long past, so no clock is before
it."""

_HOUR_MS: Final = 3_600_000
_TRADED: Final = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "AUDUSD")
_FILLED: Final = 4  # ORDER_STATE_FILLED


def opening_book(server: str, login: int, *, netting: bool = False) -> Book:
    """Return deposit, three closed trades, two to four open positions and one waiting order."""
    seed = mixed(seed_of(server), login)
    deposit = float(10_000 * (1 + seed % 5))
    book = Book(
        login=login,
        server=server,
        next_ticket=10**8 + seed % 10**7,
        deposit=deposit,
        netting=netting,
    )
    book.deals.append(
        Deal(book.ticket(), 0, 0, "", 2, 0, 0.0, 0.0, OPENED_MS, deposit, comment="Deposit")
    )
    for number in range(3):
        _trade(book, seed, number, closed=True)
    for number in range(3, 5 + mixed(seed, 9) % 3):
        _trade(book, seed, number, closed=False)
    _waiting(book, seed)
    return book


def _trade(book: Book, seed: int, number: int, *, closed: bool) -> None:
    # On a netting account there is one position of a symbol, so each trade has its own.
    chosen = mixed(seed, 1) + number if book.netting else mixed(seed, number, 1)
    symbol = _TRADED[chosen % len(_TRADED)]
    side: Side = 0 if mixed(seed, number, 2) % 2 == 0 else 1
    volume = round(0.01 + 0.01 * (mixed(seed, number, 3) % 10), 2)
    opened_ms = OPENED_MS + int((number + share(seed, number, 4)) * 12 * _HOUR_MS)
    prices = Prices(book.server, opened_ms, MARKET)
    price = _price(prices.quote(symbol), side)
    position = Position(book.ticket(), symbol, side, volume, price, opened_ms, opened_ms)
    _fill(book, position, position.ticket, side=side, price=price, when_ms=opened_ms)
    if not closed:
        book.positions[position.ticket] = position
        return
    closed_ms = opened_ms + int((1 + 6 * share(seed, number, 5)) * _HOUR_MS)
    later = Prices(book.server, closed_ms, MARKET)
    _fill(
        book,
        position,
        book.ticket(),
        side=1 - side,
        price=later.close_price(position),
        when_ms=closed_ms,
        profit=later.profit(position),
    )


def _fill(
    book: Book,
    position: Position,
    order: int,
    *,
    side: int,
    price: float,
    when_ms: int,
    profit: float = 0.0,
) -> None:
    entry = 0 if order == position.ticket else 1  # DEAL_ENTRY_IN, DEAL_ENTRY_OUT
    book.past_orders.append(
        Order(
            order,
            position.symbol,
            side,
            position.volume,
            price,
            when_ms,
            state=_FILLED,
            position=position.ticket,
            done_ms=when_ms,
        )
    )
    book.deals.append(
        Deal(
            book.ticket(),
            order,
            position.ticket,
            position.symbol,
            side,
            entry,
            position.volume,
            price,
            when_ms,
            profit,
        )
    )


def _waiting(book: Book, seed: int) -> None:
    prices = Prices(book.server, OPENED_MS, MARKET)
    base = prices.symbols["EURUSD"].base_price
    price = round(base * 0.9, 5)  # far below anything that the quotes reach
    when_ms = OPENED_MS + mixed(seed, 77) % _HOUR_MS
    order = Order(book.ticket(), "EURUSD", 2, 0.1, price, when_ms, volume_left=0.1, type_filling=2)
    book.orders[order.ticket] = order


def _price(now: Quote, side: Side) -> float:
    return now.ask if side == 0 else now.bid
