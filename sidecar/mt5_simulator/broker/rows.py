# SPDX-License-Identifier: Apache-2.0
"""The broker's facts in the package's field order: plain tuples, times on the broker's clock."""

from typing import Any, Final

from mt5_simulator import constants as mt5
from mt5_simulator.broker.book import Book, Deal, Order, Position
from mt5_simulator.broker.clock import broker_ms
from mt5_simulator.broker.quotes import Quote
from mt5_simulator.broker.symbols import Symbol
from mt5_simulator.broker.valuation import (
    CURRENCY,
    CURRENCY_DIGITS,
    LEVERAGE,
    MARGIN_CALL_LEVEL,
    STOP_OUT_LEVEL,
    Prices,
)

Row = tuple[Any, ...]
COMPANY: Final = "MT5 Bridge Simulator"
DEPTH: Final = 5
"""Levels of the book on either side."""


def account_row(book: Book, prices: Prices, *, trades: bool = True) -> Row:
    """Return AccountInfo's 28 fields: a demo in dollars; `trades`: not with an investor's
    password."""
    worth = prices.worth(book)
    mode = mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
    if book.netting:
        mode = mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING
    return (
        *(book.login, 0, LEVERAGE, 200, 0, trades, True, mode, CURRENCY_DIGITS, False),
        *(worth.balance, 0.0, worth.profit, worth.equity, worth.margin, worth.margin_free),
        *(worth.margin_level, MARGIN_CALL_LEVEL, STOP_OUT_LEVEL, 0.0, 0.0, 0.0, 0.0, 0.0),
        *(f"Demo {book.login}", book.server, CURRENCY, COMPANY),
    )


NO_TICK: Final[Row] = (0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0)
"""What a symbol has that was just selected (MT5.md 5, "Symbols")."""


def tick_row(now: Quote) -> Row:
    """Return Tick's 8 fields; flags 6 say that bid and ask changed."""
    return (now.time_msc // 1000, now.bid, now.ask, 0.0, 0, now.time_msc, 6, 0.0)


def position_row(position: Position, prices: Prices) -> Row:
    """Return TradePosition's 19 fields."""
    opened, updated = broker_ms(position.opened_ms), broker_ms(position.updated_ms)
    return (
        *(position.ticket, opened // 1000, opened, updated // 1000, updated, position.side),
        *(position.magic, position.ticket, position.reason, position.volume, position.price_open),
        *(position.sl, position.tp, prices.close_price(position)),
        *(prices.swap(position), prices.profit(position)),
        *(position.symbol, position.comment, ""),
    )


def order_row(order: Order, prices: Prices) -> Row:
    """Return TradeOrder's 24 fields."""
    setup = broker_ms(order.setup_ms)
    done = broker_ms(order.done_ms) if order.done_ms else 0
    now = prices.quote(order.symbol)
    current = now.ask if order.type % 2 == 0 else now.bid
    return (
        *(order.ticket, setup // 1000, setup, done // 1000, done, order.expiration, order.type),
        *(order.type_time, order.type_filling, order.state, order.magic),
        *(order.position, order.position_by),
        *(order.reason, order.volume, order.volume_left, order.price, order.sl, order.tp),
        *(order.price if done else current, order.stop_limit_price),
        *(order.symbol, order.comment, ""),
    )


def deal_row(deal: Deal) -> Row:
    """Return TradeDeal's 18 fields."""
    when = broker_ms(deal.when_ms)
    return (
        *(deal.ticket, deal.order, when // 1000, when, deal.side, deal.entry, deal.magic),
        *(deal.position, deal.reason, deal.volume, deal.price, 0.0, deal.swap),
        *(deal.profit, 0.0),
        *(deal.symbol, deal.comment, ""),
    )


def symbol_row(symbol: Symbol, prices: Prices, *, selected: bool, priced: bool) -> Row:
    """Return SymbolInfo's 96 fields; what has no meaning for this market is zero or empty."""
    time_s, bid, ask = tick_row(prices.quote(symbol.name))[:3] if priced else NO_TICK[:3]
    tick_value = prices.in_dollars(symbol.point * symbol.contract_size, symbol.currency_profit)
    spread = round((ask - bid) / symbol.point)
    return (
        *(False, 0, selected, selected, 0, 0, 0, 0, 0, 0, time_s, symbol.digits),
        *(
            spread,
            True,
            DEPTH,
            symbol.calc_mode,
            4,
            0,
            0,
            0,
            0,
            2,
            1,
            3,
            False,
            15,
            3,
            127,
            0,
            0,
            0,
        ),
        *(bid, bid, bid, ask, ask, ask, *(0.0,) * 7),
        *(symbol.point, tick_value, tick_value, tick_value, symbol.point, symbol.contract_size),
        *(0.0, 0.0, 0.0, symbol.volume_min, symbol.volume_max, symbol.volume_step, 0.0),
        *(
            symbol.swap_long,
            symbol.swap_short,
            0.0,
            0.0,
            *(0.0,) * 5,
            bid,
            bid,
            *(0.0,) * 4,
        ),
        *(symbol.contract_size, *(0.0,) * 10),
        *("", "", symbol.currency_base, symbol.currency_profit, symbol.currency_base, ""),
        *(symbol.description, "", "", "", symbol.name, "", symbol.path),
    )
