# SPDX-License-Identifier: Apache-2.0
"""What passing time does to a book: limits are reached, orders are triggered or expire."""

from typing import Final

from mt5_simulator import constants as mt5
from mt5_simulator.broker import ledger
from mt5_simulator.broker.book import Book, Order, Position
from mt5_simulator.broker.clock import DAY_MS, broker_ms
from mt5_simulator.broker.ledger import Match
from mt5_simulator.broker.valuation import STOP_OUT_LEVEL, Prices

_BY_DAY: Final = frozenset({mt5.ORDER_TIME_DAY, mt5.ORDER_TIME_SPECIFIED_DAY})


def advance(book: Book, prices: Prices) -> bool:
    """Do what is due by now; tell whether anything changed."""
    changed = [_stop(book, position, prices) for position in [*book.positions.values()]]
    changed += [_expire(book, order, prices) for order in [*book.orders.values()]]
    changed += [_trigger(book, order, prices) for order in [*book.orders.values()]]
    while _stop_out(book, prices):
        changed.append(True)
    return any(changed)


def expires_ms(order: Order) -> int:
    """Return when a waiting order ends, on the broker's clock; 0 for never."""
    if order.type_time == mt5.ORDER_TIME_GTC:
        return 0
    end_ms = order.expiration * 1000
    if order.type_time == mt5.ORDER_TIME_DAY:
        end_ms = broker_ms(order.setup_ms)
    return (end_ms // DAY_MS + 1) * DAY_MS if order.type_time in _BY_DAY else end_ms


def _stop(book: Book, position: Position, prices: Prices) -> bool:
    price = prices.close_price(position)
    reason = _reached(position, price)
    if not reason:
        return False
    # The broker writes its own comment over the caller's (MT5.md 5).
    word, level = ("sl", position.sl) if reason == mt5.ORDER_REASON_SL else ("tp", position.tp)
    _end(book, position, prices, reason=reason, comment=f"[{word} {level}]")
    return True


def _stop_out(book: Book, prices: Prices) -> bool:
    worth = prices.worth(book)
    if not book.positions or not worth.margin or worth.margin_level >= STOP_OUT_LEVEL:
        return False
    worst = min(book.positions.values(), key=prices.profit)
    comment = f"[so {worth.margin_level:.1f}%]"
    _end(book, worst, prices, reason=mt5.ORDER_REASON_SO, comment=comment)
    return True


def _end(book: Book, position: Position, prices: Prices, *, reason: int, comment: str) -> None:
    match = Match(prices.close_price(position), position.volume, prices)
    order = ledger.closing(book, position, match, reason=reason, comment=comment)
    ledger.leave(book, order, position, match)


def _expire(book: Book, order: Order, prices: Prices) -> bool:
    end_ms = expires_ms(order)
    if not end_ms or broker_ms(prices.utc_ms) < end_ms:
        return False
    ledger.finish(book, order, prices, state=mt5.ORDER_STATE_EXPIRED)
    return True


def _trigger(book: Book, order: Order, prices: Prices) -> bool:
    if not _triggered(order, prices):
        return False
    if order.stop_limit_price:  # a stop-limit order becomes the limit order behind it
        is_buy = order.type == mt5.ORDER_TYPE_BUY_STOP_LIMIT
        order.type = mt5.ORDER_TYPE_BUY_LIMIT if is_buy else mt5.ORDER_TYPE_SELL_LIMIT
        order.price, order.stop_limit_price = order.stop_limit_price, 0.0
        return True
    now = prices.quote(order.symbol)
    price = now.ask if order.type % 2 == 0 else now.bid
    ledger.fill(book, order, Match(price, order.volume, prices))
    return True


def _reached(position: Position, price: float) -> int:
    """Return ORDER_REASON_SL or _TP when `price` reached that limit of `position`, else 0."""
    sign = 1 if position.side == 0 else -1
    if position.sl and (price - position.sl) * sign <= 0:
        return mt5.ORDER_REASON_SL
    if position.tp and (price - position.tp) * sign >= 0:
        return mt5.ORDER_REASON_TP
    return 0


def _triggered(order: Order, prices: Prices) -> bool:
    now = prices.quote(order.symbol)
    match order.type:
        case mt5.ORDER_TYPE_BUY_LIMIT:
            return now.ask <= order.price
        case mt5.ORDER_TYPE_SELL_LIMIT:
            return now.bid >= order.price
        case mt5.ORDER_TYPE_BUY_STOP | mt5.ORDER_TYPE_BUY_STOP_LIMIT:
            return now.ask >= order.price
        case _:
            return now.bid <= order.price
