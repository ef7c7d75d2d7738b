# SPDX-License-Identifier: Apache-2.0
"""What a trade request asks for, and whether the broker would take it: pure checks with
retcodes."""

from decimal import Decimal

import msgspec

from mt5_simulator import constants as mt5
from mt5_simulator.broker.book import Book
from mt5_simulator.broker.clock import broker_ms
from mt5_simulator.broker.symbols import Symbol
from mt5_simulator.broker.valuation import Prices


class TradeRequest(msgspec.Struct, array_like=True):
    """The package's 17 request fields in its order; what the caller left out is zero, as there."""

    action: int = 0
    magic: int = 0
    order: int = 0
    symbol: str = ""
    volume: float = 0.0
    price: float = 0.0
    stoplimit: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    deviation: int = 0
    type: int = 0
    type_filling: int = 0
    type_time: int = 0
    expiration: int = 0
    comment: str = ""
    position: int = 0
    position_by: int = 0


def refusal(request: TradeRequest, book: Book, prices: Prices) -> int:
    """Return the retcode with which the broker refuses `request`, 0 when it takes it."""
    if not prices.open:
        return mt5.TRADE_RETCODE_MARKET_CLOSED
    match request.action:
        case mt5.TRADE_ACTION_DEAL:
            return _deal_refusal(request, book, prices)
        case mt5.TRADE_ACTION_PENDING:
            return _pending_refusal(request, prices)
        case mt5.TRADE_ACTION_SLTP:
            return _sltp_refusal(request, book, prices)
        case mt5.TRADE_ACTION_MODIFY | mt5.TRADE_ACTION_REMOVE:
            return 0 if request.order in book.orders else mt5.TRADE_RETCODE_INVALID_ORDER
        case mt5.TRADE_ACTION_CLOSE_BY:
            return _close_by_refusal(request, book)
        case _:
            return mt5.TRADE_RETCODE_INVALID


def market_price(request: TradeRequest, prices: Prices) -> float:
    """Return the price at which a market request would be filled."""
    now = prices.quote(request.symbol)
    return now.ask if request.type == mt5.ORDER_TYPE_BUY else now.bid


def filled_at_once(request: TradeRequest, prices: Prices) -> float:
    """Return how many lots of a market order the market takes: FOK is all or nothing."""
    most = prices.symbols[request.symbol].depth_lots
    if request.volume <= most:
        return request.volume
    return most if request.type_filling == mt5.ORDER_FILLING_IOC else 0.0


def _deal_refusal(request: TradeRequest, book: Book, prices: Prices) -> int:
    if request.type not in {mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL}:
        return mt5.TRADE_RETCODE_INVALID
    if request.position:
        return _close_refusal(request, book)
    if code := _shape_refusal(request, prices):
        return code
    if request.type_filling not in {mt5.ORDER_FILLING_FOK, mt5.ORDER_FILLING_IOC}:
        return mt5.TRADE_RETCODE_INVALID_FILL
    if request.type_filling == mt5.ORDER_FILLING_FOK and filled_at_once(request, prices) == 0:
        return mt5.TRADE_RETCODE_REJECT
    price = market_price(request, prices)
    if not stops_fit(request.type, price, request.sl, request.tp):
        return mt5.TRADE_RETCODE_INVALID_STOPS
    needed = prices.margin(prices.symbols[request.symbol], request.volume, price)
    return mt5.TRADE_RETCODE_NO_MONEY if needed > prices.worth(book).margin_free else 0


def _close_refusal(request: TradeRequest, book: Book) -> int:
    position = book.positions.get(request.position)
    if position is None:
        return mt5.TRADE_RETCODE_POSITION_CLOSED
    if position.symbol != request.symbol or position.side == request.type:
        return mt5.TRADE_RETCODE_INVALID
    if not 0 < request.volume <= position.volume:
        return mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME
    return 0


def _pending_refusal(request: TradeRequest, prices: Prices) -> int:
    if not mt5.ORDER_TYPE_BUY_LIMIT <= request.type <= mt5.ORDER_TYPE_SELL_STOP_LIMIT:
        return mt5.TRADE_RETCODE_INVALID
    if code := _shape_refusal(request, prices):
        return code
    by_date = {mt5.ORDER_TIME_SPECIFIED, mt5.ORDER_TIME_SPECIFIED_DAY}
    if request.type_time in by_date and request.expiration * 1000 <= broker_ms(prices.utc_ms):
        return mt5.TRADE_RETCODE_INVALID_EXPIRATION
    if request.price <= 0 or _on_the_wrong_side(request, prices):
        return mt5.TRADE_RETCODE_INVALID_PRICE
    if not stops_fit(request.type % 2, request.price, request.sl, request.tp):
        return mt5.TRADE_RETCODE_INVALID_STOPS
    return 0


def _shape_refusal(request: TradeRequest, prices: Prices) -> int:
    symbol = prices.symbols.get(request.symbol)
    if symbol is None:
        return mt5.TRADE_RETCODE_INVALID
    return 0 if volume_fits(symbol, request.volume) else mt5.TRADE_RETCODE_INVALID_VOLUME


def volume_fits(symbol: Symbol, volume: float) -> bool:
    """Tell whether `volume` is within the symbol's bounds and a whole number of its steps."""
    if not symbol.volume_min <= volume <= symbol.volume_max:
        return False
    return Decimal(str(volume)) % Decimal(str(symbol.volume_step)) == 0


def _on_the_wrong_side(request: TradeRequest, prices: Prices) -> bool:
    now = prices.quote(request.symbol)
    match request.type:
        case mt5.ORDER_TYPE_BUY_LIMIT:
            return request.price >= now.ask
        case mt5.ORDER_TYPE_SELL_LIMIT:
            return request.price <= now.bid
        case mt5.ORDER_TYPE_BUY_STOP | mt5.ORDER_TYPE_BUY_STOP_LIMIT:
            return request.price <= now.ask
        case _:
            return request.price >= now.bid


def _sltp_refusal(request: TradeRequest, book: Book, prices: Prices) -> int:
    position = book.positions.get(request.position)
    if position is None:
        return mt5.TRADE_RETCODE_POSITION_CLOSED
    if (position.sl, position.tp) == (request.sl, request.tp):
        return mt5.TRADE_RETCODE_NO_CHANGES
    price = prices.close_price(position)
    if not stops_fit(position.side, price, request.sl, request.tp):
        return mt5.TRADE_RETCODE_INVALID_STOPS
    return 0


def _close_by_refusal(request: TradeRequest, book: Book) -> int:
    if book.netting:
        return mt5.TRADE_RETCODE_INVALID
    one, other = book.positions.get(request.position), book.positions.get(request.position_by)
    if one is None or other is None:
        return mt5.TRADE_RETCODE_POSITION_CLOSED
    fits = one.symbol == other.symbol and one.side != other.side
    return 0 if fits else mt5.TRADE_RETCODE_INVALID


def stops_fit(side: int, price: float, sl: float, tp: float) -> bool:
    """Tell whether loss and profit limits lie on their sides of `price`; 0 is no limit."""
    low, high = (sl, tp) if side == 0 else (tp, sl)
    return (not low or low < price) and (not high or high > price)
