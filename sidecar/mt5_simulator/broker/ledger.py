# SPDX-License-Identifier: Apache-2.0
"""How a fill changes a book: orders become deals; deals make, change and end positions."""

from typing import Final

from mt5_simulator import constants as mt5
from mt5_simulator.broker.book import Book, Deal, Order, Position, Side
from mt5_simulator.broker.valuation import Prices

EXPERT: Final = mt5.ORDER_REASON_EXPERT
_LOT_DIGITS: Final = 8


def fill(book: Book, order: Order, price: float, prices: Prices, *, volume: float) -> Deal:
    """Fill `volume` of `order`: a position of its own, or its part of the symbol's only one."""
    held = _held(book, order.symbol) if book.netting else None
    if held is None:
        return _enter(book, order, price, prices, volume)
    if held.side == order.type % 2:
        return _add(book, order, held, price, prices, volume)
    if volume <= held.volume:
        return leave(book, order, held, price, prices, volume=volume)
    return _turn(book, order, held, price, prices, volume)


def leave(
    book: Book,
    order: Order,
    position: Position,
    price: float,
    prices: Prices,
    *,
    volume: float,
    entry: int = mt5.DEAL_ENTRY_OUT,
) -> Deal:
    """Take `volume` off `position`."""
    profit = _earned(position, price, prices, volume)
    position.volume = round(position.volume - volume, _LOT_DIGITS)
    position.updated_ms = prices.utc_ms
    if position.volume <= 0:
        del book.positions[position.ticket]
    finish(book, order, prices, filled=volume, position=position.ticket)
    return _record(book, order, entry, volume, price, prices, profit)


def closing(
    book: Book,
    position: Position,
    volume: float,
    price: float,
    prices: Prices,
    *,
    reason: int = EXPERT,
    magic: int = 0,
    comment: str = "",
) -> Order:
    """Return the order that closes `volume` of `position`."""
    return Order(
        ticket=book.ticket(),
        symbol=position.symbol,
        type=1 - position.side,
        volume=volume,
        price=price,
        setup_ms=prices.utc_ms,
        volume_left=volume,
        magic=magic,
        comment=comment,
        reason=reason,
        position=position.ticket,
    )


def finish(
    book: Book,
    order: Order,
    prices: Prices,
    *,
    state: int | None = None,
    filled: float = 0.0,
    position: int = 0,
) -> None:
    """Move `order` into history; without `state`, by how much of it was filled."""
    book.orders.pop(order.ticket, None)
    order.volume_left = round(order.volume - filled, _LOT_DIGITS)
    whole = mt5.ORDER_STATE_PARTIAL if order.volume_left > 0 else mt5.ORDER_STATE_FILLED
    order.state = whole if state is None else state
    order.done_ms = prices.utc_ms
    order.position = position or order.position
    book.past_orders.append(order)


def _held(book: Book, symbol: str) -> Position | None:
    return next((p for p in book.positions.values() if p.symbol == symbol), None)


def _enter(book: Book, order: Order, price: float, prices: Prices, volume: float) -> Deal:
    side: Side = 0 if order.type % 2 == 0 else 1
    book.positions[order.ticket] = Position(
        ticket=order.ticket,
        symbol=order.symbol,
        side=side,
        volume=volume,
        price_open=price,
        opened_ms=prices.utc_ms,
        updated_ms=prices.utc_ms,
        sl=order.sl,
        tp=order.tp,
        magic=order.magic,
        comment=order.comment,
        reason=EXPERT,
    )
    finish(book, order, prices, filled=volume, position=order.ticket)
    return _record(book, order, mt5.DEAL_ENTRY_IN, volume, price, prices, 0.0)


def _add(
    book: Book, order: Order, held: Position, price: float, prices: Prices, volume: float
) -> Deal:
    together = round(held.volume + volume, _LOT_DIGITS)
    held.price_open = (held.price_open * held.volume + price * volume) / together
    held.volume, held.updated_ms = together, prices.utc_ms
    held.sl, held.tp = order.sl or held.sl, order.tp or held.tp
    finish(book, order, prices, filled=volume, position=held.ticket)
    return _record(book, order, mt5.DEAL_ENTRY_IN, volume, price, prices, 0.0)


def _turn(
    book: Book, order: Order, held: Position, price: float, prices: Prices, volume: float
) -> Deal:
    profit = _earned(held, price, prices, held.volume)
    held.side = 0 if held.side == 1 else 1
    held.volume = round(volume - held.volume, _LOT_DIGITS)
    held.price_open, held.updated_ms = price, prices.utc_ms
    held.sl, held.tp = order.sl, order.tp
    finish(book, order, prices, filled=volume, position=held.ticket)
    return _record(book, order, mt5.DEAL_ENTRY_INOUT, volume, price, prices, profit)


def _earned(position: Position, price: float, prices: Prices, volume: float) -> float:
    moved = price - position.price_open if position.side == 0 else position.price_open - price
    return prices.realised(prices.symbols[position.symbol], moved, volume)


def _record(
    book: Book,
    order: Order,
    entry: int,
    volume: float,
    price: float,
    prices: Prices,
    profit: float,
) -> Deal:
    deal = Deal(
        ticket=book.ticket(),
        order=order.ticket,
        position=order.position,
        symbol=order.symbol,
        side=order.type % 2,
        entry=entry,
        volume=volume,
        price=price,
        when_ms=prices.utc_ms,
        profit=profit,
        magic=order.magic,
        comment=order.comment,
        reason=order.reason,
    )
    book.deals.append(deal)
    return deal
