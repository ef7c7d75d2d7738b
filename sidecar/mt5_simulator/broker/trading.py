# SPDX-License-Identifier: Apache-2.0
"""Carries out requests on a hedging book, and what the market triggers by itself."""

from dataclasses import dataclass
from typing import Final

from mt5_simulator import constants as mt5
from mt5_simulator.broker.book import Book, Deal, Order, Position, Side
from mt5_simulator.broker.requests import (
    TradeRequest,
    market_price,
    refusal,
    stop_reached,
    triggered,
)
from mt5_simulator.broker.valuation import Prices

_COMMENTS: Final = {
    mt5.TRADE_RETCODE_PLACED: "Request placed",
    mt5.TRADE_RETCODE_DONE: "Request executed",
    mt5.TRADE_RETCODE_INVALID: "Invalid request",
    mt5.TRADE_RETCODE_INVALID_VOLUME: "Invalid volume",
    mt5.TRADE_RETCODE_INVALID_PRICE: "Invalid price",
    mt5.TRADE_RETCODE_INVALID_STOPS: "Invalid stops",
    mt5.TRADE_RETCODE_NO_MONEY: "No money",
    mt5.TRADE_RETCODE_NO_CHANGES: "No changes",
    mt5.TRADE_RETCODE_INVALID_FILL: "Unsupported filling mode",
    mt5.TRADE_RETCODE_INVALID_ORDER: "Invalid order",
    mt5.TRADE_RETCODE_POSITION_CLOSED: "Position doesn't exist",
    mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME: "Invalid close volume",
}
_EXPERT: Final = mt5.ORDER_REASON_EXPERT
_OUT: Final = mt5.DEAL_ENTRY_OUT


@dataclass(frozen=True, slots=True)
class Result:
    """The broker's answer to a request."""

    retcode: int
    deal: int = 0
    order: int = 0
    volume: float = 0.0
    price: float = 0.0

    @property
    def comment(self) -> str:
        """Return the broker's words for the retcode."""
        return _COMMENTS.get(self.retcode, "Rejected")


def send(request: TradeRequest, book: Book, prices: Prices) -> Result:
    """Carry out `request` on `book`, or say with which retcode it is refused."""
    if code := refusal(request, book, prices):
        return Result(code)
    match request.action:
        case mt5.TRADE_ACTION_DEAL if request.position:
            return _close(request, book, prices)
        case mt5.TRADE_ACTION_DEAL:
            return _open(request, book, prices)
        case mt5.TRADE_ACTION_PENDING:
            return _place(request, book, prices)
        case mt5.TRADE_ACTION_SLTP:
            return _protect(request, book, prices)
        case mt5.TRADE_ACTION_MODIFY:
            return _modify(request, book)
        case mt5.TRADE_ACTION_REMOVE:
            return _remove(request, book, prices)
        case _:
            return _close_by(request, book, prices)


def advance(book: Book, prices: Prices) -> bool:
    """Fill and close what the market reached by now; tell whether anything changed."""
    stopped = [
        (position, reason)
        for position in book.positions.values()
        if (reason := stop_reached(position, prices.close_price(position)))
    ]
    for position, reason in stopped:
        word = "sl" if reason == mt5.ORDER_REASON_SL else "tp"
        level = position.sl if reason == mt5.ORDER_REASON_SL else position.tp
        _leave(book, position, position.volume, prices, reason=reason, comment=f"[{word} {level}]")
    reached = [order for order in book.orders.values() if triggered(order, prices)]
    for order in reached:
        _fill(book, order, prices)
    return bool(stopped or reached)


def _open(request: TradeRequest, book: Book, prices: Prices) -> Result:
    price = market_price(request, prices)
    order = _order(request, book, price, prices.utc_ms)
    deal = _enter(book, order, price, prices.utc_ms)
    return Result(mt5.TRADE_RETCODE_DONE, deal.ticket, order.ticket, request.volume, price)


def _order(request: TradeRequest, book: Book, price: float, now_ms: int) -> Order:
    return Order(
        ticket=book.ticket(),
        symbol=request.symbol,
        type=request.type,
        volume=request.volume,
        price=price,
        setup_ms=now_ms,
        volume_left=request.volume,
        stop_limit_price=request.stoplimit,
        sl=request.sl,
        tp=request.tp,
        magic=request.magic,
        comment=request.comment,
        reason=_EXPERT,
        type_time=request.type_time,
        type_filling=request.type_filling,
        expiration=request.expiration,
    )


def _enter(book: Book, order: Order, price: float, now_ms: int) -> Deal:
    side: Side = 0 if order.type % 2 == 0 else 1
    book.positions[order.ticket] = Position(
        ticket=order.ticket,
        symbol=order.symbol,
        side=side,
        volume=order.volume,
        price_open=price,
        opened_ms=now_ms,
        updated_ms=now_ms,
        sl=order.sl,
        tp=order.tp,
        magic=order.magic,
        comment=order.comment,
        reason=_EXPERT,
    )
    _finish(book, order, mt5.ORDER_STATE_FILLED, now_ms, position=order.ticket)
    return _deal(book, order, side, mt5.DEAL_ENTRY_IN, order.volume, price, now_ms)


def _finish(book: Book, order: Order, state: int, now_ms: int, *, position: int = 0) -> None:
    book.orders.pop(order.ticket, None)
    order.state, order.done_ms = state, now_ms
    order.position = position or order.position
    if state == mt5.ORDER_STATE_FILLED:
        order.volume_left = 0.0
    book.past_orders.append(order)


def _deal(
    book: Book,
    order: Order,
    side: int,
    entry: int,
    volume: float,
    price: float,
    now_ms: int,
    profit: float = 0.0,
) -> Deal:
    deal = Deal(
        ticket=book.ticket(),
        order=order.ticket,
        position=order.position,
        symbol=order.symbol,
        side=side,
        entry=entry,
        volume=volume,
        price=price,
        when_ms=now_ms,
        profit=profit,
        magic=order.magic,
        comment=order.comment,
        reason=order.reason,
    )
    book.deals.append(deal)
    return deal


def _close(request: TradeRequest, book: Book, prices: Prices) -> Result:
    position = book.positions[request.position]
    deal = _leave(
        book, position, request.volume, prices, magic=request.magic, comment=request.comment
    )
    return Result(mt5.TRADE_RETCODE_DONE, deal.ticket, deal.order, request.volume, deal.price)


def _leave(
    book: Book,
    position: Position,
    volume: float,
    prices: Prices,
    *,
    reason: int = _EXPERT,
    magic: int = 0,
    comment: str = "",
    entry: int = _OUT,
    price: float | None = None,
) -> Deal:
    price = prices.close_price(position) if price is None else price
    moved = price - position.price_open if position.side == 0 else position.price_open - price
    profit = prices.realised(prices.symbols[position.symbol], moved, volume)
    order = Order(
        book.ticket(), position.symbol, 1 - position.side, volume, price, prices.utc_ms,
        magic=magic, comment=comment, reason=reason, position=position.ticket,
    )  # fmt: skip
    _finish(book, order, mt5.ORDER_STATE_FILLED, prices.utc_ms)
    position.volume = round(position.volume - volume, 8)
    position.updated_ms = prices.utc_ms
    if position.volume <= 0:
        del book.positions[position.ticket]
    return _deal(book, order, order.type, entry, volume, price, prices.utc_ms, profit)


def _place(request: TradeRequest, book: Book, prices: Prices) -> Result:
    order = _order(request, book, request.price, prices.utc_ms)
    book.orders[order.ticket] = order
    return Result(mt5.TRADE_RETCODE_DONE, 0, order.ticket, request.volume, request.price)


def _protect(request: TradeRequest, book: Book, prices: Prices) -> Result:
    position = book.positions[request.position]
    position.sl, position.tp, position.updated_ms = request.sl, request.tp, prices.utc_ms
    return Result(mt5.TRADE_RETCODE_DONE)


def _modify(request: TradeRequest, book: Book) -> Result:
    order = book.orders[request.order]
    order.price = request.price or order.price
    order.sl, order.tp = request.sl, request.tp
    order.stop_limit_price = request.stoplimit or order.stop_limit_price
    order.type_time, order.expiration = request.type_time, request.expiration
    return Result(mt5.TRADE_RETCODE_DONE, order=order.ticket, price=order.price)


def _remove(request: TradeRequest, book: Book, prices: Prices) -> Result:
    order = book.orders[request.order]
    _finish(book, order, mt5.ORDER_STATE_CANCELED, prices.utc_ms)
    return Result(mt5.TRADE_RETCODE_DONE, order=order.ticket)


def _close_by(request: TradeRequest, book: Book, prices: Prices) -> Result:
    one, other = book.positions[request.position], book.positions[request.position_by]
    volume, meet = min(one.volume, other.volume), other.price_open
    entry = mt5.DEAL_ENTRY_OUT_BY
    deal = _leave(book, one, volume, prices, entry=entry, price=meet)
    _leave(book, other, volume, prices, entry=entry, price=meet)
    return Result(mt5.TRADE_RETCODE_DONE, deal.ticket, deal.order, volume, meet)


def _fill(book: Book, order: Order, prices: Prices) -> None:
    if order.stop_limit_price:  # a stop-limit order becomes the limit order behind it
        order.type = 2 if order.type == mt5.ORDER_TYPE_BUY_STOP_LIMIT else 3
        order.price, order.stop_limit_price = order.stop_limit_price, 0.0
        return
    now = prices.quote(order.symbol)
    _enter(book, order, now.ask if order.type % 2 == 0 else now.bid, prices.utc_ms)
