# SPDX-License-Identifier: Apache-2.0
"""What a book is worth at a moment: profit, margin, equity, in US dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mt5_simulator.broker.book import Book, Position
from mt5_simulator.broker.clock import nights
from mt5_simulator.broker.quotes import Quote, quote
from mt5_simulator.broker.symbols import MARKET, Symbol

CURRENCY: Final = "USD"
CURRENCY_DIGITS: Final = 2
LEVERAGE: Final = 100
MARGIN_CALL_LEVEL: Final = 50.0
STOP_OUT_LEVEL: Final = 30.0
"""Percent of equity over margin, below which the broker closes the worst position."""


@dataclass(frozen=True, slots=True)
class Worth:
    """An account's money at a moment."""

    balance: float
    profit: float
    """Floating, swap included."""
    margin: float

    @property
    def equity(self) -> float:
        """Return what would remain if everything were closed now."""
        return round(self.balance + self.profit, CURRENCY_DIGITS)

    @property
    def margin_free(self) -> float:
        """Return what can back new positions."""
        return round(self.equity - self.margin, CURRENCY_DIGITS)

    @property
    def margin_level(self) -> float:
        """Return equity over margin in percent, 0 without positions as the terminal does."""
        return round(self.equity / self.margin * 100, 2) if self.margin else 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """One server's market at one moment: everything valued by it agrees."""

    server: str
    utc_ms: int
    symbols: Mapping[str, Symbol]
    open: bool = True
    """False: it stands still, and nothing can be traded."""

    def quote(self, name: str) -> Quote:
        """Return the last tick of the symbol called `name`."""
        return quote(self.server, self.symbols[name], self.utc_ms)

    def close_price(self, position: Position) -> float:
        """Return the price at which `position` would be closed."""
        now = self.quote(position.symbol)
        return now.bid if position.side == 0 else now.ask

    def in_dollars(self, amount: float, currency: str) -> float:
        """Return `amount` of `currency` in dollars."""
        if currency == CURRENCY:
            return amount
        if (name := f"{currency}{CURRENCY}") in MARKET:
            return amount * self.quote(name).bid
        if (name := f"{CURRENCY}{currency}") in MARKET:
            return amount / self.quote(name).bid
        return amount

    def profit(self, position: Position) -> float:
        """Return the floating profit of `position` in dollars."""
        moved = self.close_price(position) - position.price_open
        signed = moved if position.side == 0 else -moved
        return self.realised(self.symbols[position.symbol], signed, position.volume)

    def swap(self, position: Position) -> float:
        """Return what holding `position` overnight has cost or earned, in dollars."""
        symbol = self.symbols[position.symbol]
        points = symbol.swap_long if position.side == 0 else symbol.swap_short
        since_ms = position.swap_since_ms or position.opened_ms
        moved = points * symbol.point * nights(since_ms, self.utc_ms)
        return round(position.swap_kept + self.realised(symbol, moved, position.volume), 2)

    def realised(self, symbol: Symbol, moved: float, volume: float) -> float:
        """Return what a price move of `moved` earns on `volume` lots, in dollars."""
        amount = moved * volume * symbol.contract_size
        return round(self.in_dollars(amount, symbol.currency_profit), CURRENCY_DIGITS)

    def margin(self, symbol: Symbol, volume: float, price: float) -> float:
        """Return the dollars that `volume` lots bind."""
        if symbol.calc_mode == 0:  # forex: notional in the base currency
            notional = self.in_dollars(volume * symbol.contract_size, symbol.currency_base)
        else:
            notional = self.in_dollars(
                volume * symbol.contract_size * price, symbol.currency_profit
            )
        return round(notional * symbol.margin_rate, CURRENCY_DIGITS)

    def worth(self, book: Book) -> Worth:
        """Return what `book` is worth now."""
        held = book.positions.values()
        margin = sum(self.margin(self.symbols[p.symbol], p.volume, p.price_open) for p in held)
        return Worth(
            balance=book.balance,
            profit=round(sum(self.profit(p) + self.swap(p) for p in held), CURRENCY_DIGITS),
            margin=round(margin, CURRENCY_DIGITS),
        )
