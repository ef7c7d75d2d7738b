# SPDX-License-Identifier: Apache-2.0
"""How a fill changes a book: orders become deals; deals make, change and end positions."""

from dataclasses import dataclass
from typing import Final

import msgspec

from mt5_simulator import constants as mt5
from mt5_simulator.broker.book import Book, Deal, Order, Position, Side
from mt5_simulator.broker.valuation import Prices

EXPERT: Final = mt5.ORDER_REASON_EXPERT
_LOT_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Match:
    """What the market gave: so many lots at this price, at the moment of `prices`."""

    price: float
    volume: float
    prices: Prices


def fill(book: Book, order: Order, match: Match) -> Deal:
    """Fill `order`: it makes a position of its own, or changes the symbol's only one."""
    held = _held(book, order.symbol) if book.netting else None
    if held is None:
        return _enter(book, order, match)
    if held.side == order.type % 2:
        return _add(book, order, held, match)
    if match.volume <= held.volume:
        return leave(book, order, held, match)
    return _turn(book, order, held, match)


def leave(
    book: Book,
    order: Order,
    position: Position,
    match: Match,
) -> Deal:
    """Take the matched volume off `position`."""
    profit, swap = _reduced(book, position, match)
    finish(book, order, match.prices, filled=match.volume, position=position.ticket)
    return _record(book, order, match, entry=mt5.DEAL_ENTRY_OUT, profit=profit, swap=swap)


def close_by(
    book: Book, pair: tuple[Position, Position], match: Match, *, magic: int, comment: str
) -> Deal:
    """Close two opposite positions by each other: one order, and a deal of each position.

    Source: MQL5 reference, ORDER_TYPE_CLOSE_BY, ORDER_POSITION_BY_ID.
    """
    one, other = pair
    order = closing(book, one, match, magic=magic, comment=comment)
    order.type, order.position_by = mt5.ORDER_TYPE_CLOSE_BY, other.ticket
    deals = [_half(book, order, each, match) for each in pair]
    finish(book, order, match.prices, filled=match.volume)
    return deals[0]


def closing(
    book: Book,
    position: Position,
    match: Match,
    *,
    reason: int = EXPERT,
    magic: int = 0,
    comment: str = "",
) -> Order:
    """Return the order that closes the matched volume of `position`."""
    return Order(
        ticket=book.ticket(),
        symbol=position.symbol,
        type=1 - position.side,
        volume=match.volume,
        price=match.price,
        setup_ms=match.prices.utc_ms,
        volume_left=match.volume,
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


def _enter(book: Book, order: Order, match: Match) -> Deal:
    side: Side = 0 if order.type % 2 == 0 else 1
    book.positions[order.ticket] = Position(
        ticket=order.ticket,
        symbol=order.symbol,
        side=side,
        volume=match.volume,
        price_open=match.price,
        opened_ms=match.prices.utc_ms,
        updated_ms=match.prices.utc_ms,
        sl=order.sl,
        tp=order.tp,
        magic=order.magic,
        comment=order.comment,
        reason=EXPERT,
    )
    finish(book, order, match.prices, filled=match.volume, position=order.ticket)
    return _record(book, order, match, entry=mt5.DEAL_ENTRY_IN)


def _add(book: Book, order: Order, held: Position, match: Match) -> Deal:
    _settled(held, match.prices, 0.0)
    together = round(held.volume + match.volume, _LOT_DIGITS)
    held.price_open = (held.price_open * held.volume + match.price * match.volume) / together
    held.volume, held.updated_ms = together, match.prices.utc_ms
    # Also by none. Source: metatrader5.com help, "Stop Loss and Take Profit inheritance", netting.
    held.sl, held.tp = order.sl, order.tp
    finish(book, order, match.prices, filled=match.volume, position=held.ticket)
    return _record(book, order, match, entry=mt5.DEAL_ENTRY_IN)


def _turn(book: Book, order: Order, held: Position, match: Match) -> Deal:
    profit = _earned(held, match, held.volume)
    swap = _settled(held, match.prices, 1.0)
    held.side = 0 if held.side == 1 else 1
    held.volume = round(match.volume - held.volume, _LOT_DIGITS)
    held.price_open, held.updated_ms = match.price, match.prices.utc_ms
    held.sl, held.tp = order.sl, order.tp
    finish(book, order, match.prices, filled=match.volume, position=held.ticket)
    return _record(book, order, match, entry=mt5.DEAL_ENTRY_INOUT, profit=profit, swap=swap)


def _half(book: Book, order: Order, position: Position, match: Match) -> Deal:
    profit, swap = _reduced(book, position, match)
    half = msgspec.structs.replace(order, type=1 - position.side, position=position.ticket)
    return _record(book, half, match, entry=mt5.DEAL_ENTRY_OUT_BY, profit=profit, swap=swap)


def _reduced(book: Book, position: Position, match: Match) -> tuple[float, float]:
    """Take the matched volume off `position`; return profit and swap of it."""
    profit = _earned(position, match, match.volume)
    swap = _settled(position, match.prices, match.volume / position.volume)
    position.volume = round(position.volume - match.volume, _LOT_DIGITS)
    position.updated_ms = match.prices.utc_ms
    if position.volume <= 0:
        del book.positions[position.ticket]
    return profit, swap


def _earned(position: Position, match: Match, volume: float) -> float:
    moved = match.price - position.price_open
    signed = moved if position.side == 0 else -moved
    return match.prices.realised(match.prices.symbols[position.symbol], signed, volume)


def _settled(position: Position, prices: Prices, share: float) -> float:
    """Take `share` of the position's swap off it, and return it."""
    swap = prices.swap(position)
    paid = round(swap * share, 2)
    position.swap_kept, position.swap_since_ms = round(swap - paid, 2), prices.utc_ms
    return paid


def _record(
    book: Book, order: Order, match: Match, *, entry: int, profit: float = 0.0, swap: float = 0.0
) -> Deal:
    deal = Deal(
        ticket=book.ticket(),
        order=order.ticket,
        position=order.position,
        symbol=order.symbol,
        side=order.type % 2,
        entry=entry,
        volume=match.volume,
        price=match.price,
        when_ms=match.prices.utc_ms,
        profit=profit,
        magic=order.magic,
        comment=order.comment,
        reason=order.reason,
        swap=swap,
    )
    book.deals.append(deal)
    return deal
