# SPDX-License-Identifier: Apache-2.0
"""Carries out requests on a book."""

from dataclasses import dataclass
from typing import Final

from mt5_simulator import constants as mt5
from mt5_simulator.broker import ledger
from mt5_simulator.broker.book import Book, Order
from mt5_simulator.broker.ledger import Match
from mt5_simulator.broker.requests import TradeRequest, filled_at_once, market_price, refusal
from mt5_simulator.broker.valuation import Prices

_COMMENTS: Final = {
    mt5.TRADE_RETCODE_REQUOTE: "Requote",
    mt5.TRADE_RETCODE_REJECT: "Rejected",
    mt5.TRADE_RETCODE_DONE: "Request executed",
    mt5.TRADE_RETCODE_DONE_PARTIAL: "Request executed partially",
    mt5.TRADE_RETCODE_MARKET_CLOSED: "Market closed",
    mt5.TRADE_RETCODE_INVALID_EXPIRATION: "Invalid expiration",
    mt5.TRADE_RETCODE_CLIENT_DISABLES_AT: "AutoTrading disabled by client",
    mt5.TRADE_RETCODE_TRADE_DISABLED: "Trade is disabled",
    mt5.TRADE_RETCODE_CONNECTION: "No connection",
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


def _open(request: TradeRequest, book: Book, prices: Prices) -> Result:
    price, volume = market_price(request, prices), filled_at_once(request, prices)
    order = _order(request, book, price, prices.utc_ms)
    deal = ledger.fill(book, order, Match(price, volume, prices))
    whole = volume == request.volume
    retcode = mt5.TRADE_RETCODE_DONE if whole else mt5.TRADE_RETCODE_DONE_PARTIAL
    return Result(retcode, deal.ticket, order.ticket, volume, price)


def _close(request: TradeRequest, book: Book, prices: Prices) -> Result:
    position = book.positions[request.position]
    match = Match(prices.close_price(position), request.volume, prices)
    order = ledger.closing(book, position, match, magic=request.magic, comment=request.comment)
    deal = ledger.leave(book, order, position, match)
    return Result(mt5.TRADE_RETCODE_DONE, deal.ticket, deal.order, match.volume, match.price)


def _place(request: TradeRequest, book: Book, prices: Prices) -> Result:
    order = _order(request, book, request.price, prices.utc_ms)
    book.orders[order.ticket] = order
    return Result(mt5.TRADE_RETCODE_DONE, 0, order.ticket, request.volume, request.price)


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
        reason=ledger.EXPERT,
        type_time=request.type_time,
        type_filling=request.type_filling,
        expiration=request.expiration,
    )


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
    ledger.finish(book, order, prices, state=mt5.ORDER_STATE_CANCELED)
    return Result(mt5.TRADE_RETCODE_DONE, order=order.ticket)


def _close_by(request: TradeRequest, book: Book, prices: Prices) -> Result:
    one, other = book.positions[request.position], book.positions[request.position_by]
    # At the price at which the other began: so the difference is booked once, with the first.
    match = Match(other.price_open, min(one.volume, other.volume), prices)
    deal = ledger.close_by(book, (one, other), match, magic=request.magic, comment=request.comment)
    return Result(mt5.TRADE_RETCODE_DONE, deal.ticket, deal.order, match.volume, match.price)
