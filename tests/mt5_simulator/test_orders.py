# SPDX-License-Identifier: Apache-2.0
"""Waiting orders, limits of positions, close-by: from request to deals."""

from collections.abc import Callable

import pytest

from mt5_simulator import constants as mt5
from mt5_simulator.broker.book import Book
from mt5_simulator.broker.opening import opening_book
from mt5_simulator.broker.passing import advance
from mt5_simulator.broker.quotes import Quote
from mt5_simulator.broker.requests import TradeRequest
from mt5_simulator.broker.symbols import MARKET
from mt5_simulator.broker.trading import send
from mt5_simulator.broker.valuation import Prices

NOW_MS = 1_795_428_000_000
STEP = 0.0005


def prices(utc_ms: int = NOW_MS) -> Prices:
    return Prices("Simulator-Demo", utc_ms, MARKET)


def request(action: int, **fields: object) -> TradeRequest:
    return TradeRequest(**{"action": action, "symbol": "EURUSD", "volume": 0.1, **fields})


def bought(book: Book, **fields: object) -> int:
    return send(request(mt5.TRADE_ACTION_DEAL, type=0, **fields), book, prices()).order


def when(shows: Callable[[Quote], bool], after_ms: int = NOW_MS) -> Prices:
    """Return the market at the first minute at which EURUSD is so."""
    minutes = (prices(after_ms + 60_000 * number) for number in range(1, 100_000))
    return next(now for now in minutes if shows(now.quote("EURUSD")))


@pytest.fixture
def book():
    return opening_book("Simulator-Demo", 1)


def test_a_take_profit_closes_its_position_with_the_brokers_comment(book):
    level = round(prices().quote("EURUSD").ask + STEP, 5)
    ticket = bought(book, tp=level, comment="mine")

    advance(book, when(lambda now: now.bid >= level))

    assert ticket not in book.positions
    assert (book.deals[-1].comment, book.deals[-1].reason) == (f"[tp {level}]", 5)
    assert book.deals[-1].profit > 0


def test_a_stop_limit_order_becomes_a_limit_order_and_then_a_position(book):
    ask = prices().quote("EURUSD").ask
    stop, limit = round(ask + STEP, 5), round(ask - STEP, 5)
    kind = mt5.ORDER_TYPE_BUY_STOP_LIMIT
    placed = send(request(5, type=kind, price=stop, stoplimit=limit), book, prices())

    risen = when(lambda now: now.ask >= stop)
    advance(book, risen)
    order = book.orders[placed.order]
    assert (order.type, order.price) == (mt5.ORDER_TYPE_BUY_LIMIT, limit)

    advance(book, when(lambda now: now.ask <= limit, after_ms=risen.utc_ms))

    assert book.positions[placed.order].price_open <= limit


def test_limits_of_a_position_can_be_changed_and_the_same_again_is_no_change(book):
    ticket = bought(book)
    level = round(prices().quote("EURUSD").bid - STEP, 5)
    protect = request(mt5.TRADE_ACTION_SLTP, position=ticket, sl=level)

    codes = [send(protect, book, prices()).retcode for _ in range(2)]

    assert codes == [mt5.TRADE_RETCODE_DONE, mt5.TRADE_RETCODE_NO_CHANGES]
    assert book.positions[ticket].sl == level


def test_a_waiting_order_can_be_changed_and_removed(book):
    (ticket,) = book.orders

    send(request(mt5.TRADE_ACTION_MODIFY, order=ticket, price=0.9), book, prices())
    changed = book.orders[ticket].price
    send(request(mt5.TRADE_ACTION_REMOVE, order=ticket), book, prices())

    assert changed == 0.9
    assert ticket not in book.orders
    assert book.past_orders[-1].state == mt5.ORDER_STATE_CANCELED


def test_close_by_ends_both_positions_and_books_their_difference_once(book):
    one = bought(book, volume=0.3)
    other = send(request(mt5.TRADE_ACTION_DEAL, type=1, volume=0.2), book, prices()).order
    before = book.balance
    gained = book.positions[other].price_open - book.positions[one].price_open

    send(request(mt5.TRADE_ACTION_CLOSE_BY, position=one, position_by=other), book, prices())

    assert other not in book.positions
    assert book.positions[one].volume == 0.1
    assert book.balance - before == pytest.approx(gained * 0.2 * 100_000, abs=0.01)
    assert [deal.entry for deal in book.deals[-2:]] == [mt5.DEAL_ENTRY_OUT_BY] * 2


def test_close_by_is_one_order_with_a_deal_of_each_position(book):
    one = bought(book)
    other = send(request(mt5.TRADE_ACTION_DEAL, type=1), book, prices()).order
    marks = {"magic": 77, "comment": "mine"}

    close_by = request(mt5.TRADE_ACTION_CLOSE_BY, position=one, position_by=other, **marks)
    answer = send(close_by, book, prices())

    order, deals = book.past_orders[-1], book.deals[-2:]
    assert (order.type, order.magic, order.comment) == (mt5.ORDER_TYPE_CLOSE_BY, 77, "mine")
    assert (order.position, order.position_by) == (one, other)
    assert {deal.order for deal in deals} == {order.ticket} == {answer.order}
    assert [(deal.position, deal.side) for deal in deals] == [(one, 1), (other, 0)]
