# SPDX-License-Identifier: Apache-2.0
"""Calls about the market: symbols, ticks, bars, depth. Each method is the call of its name."""

from typing import Any, Final

from mt5_simulator.broker import rows, series
from mt5_simulator.broker.symbols import Symbol
from mt5_simulator.broker.valuation import Prices
from mt5_simulator.terminal.groups import chosen
from mt5_simulator.terminal.view import View

_SHORT_BARS: Final = 100
_LOADING_MS: Final = 1_000
"""History comes from the server when it is first asked for: so long, only the newest bars are
there (MT5.md 5, "History loading")."""
_FIRST_TICK_MS: Final = 200
"""A symbol's first price comes so long after it was selected; until then its prices are zero, as
are those of one that is not (MT5.md 5, "Symbols": up to 2 s)."""
_EVER_MS: Final = (2**31 - 1) * 1000  # the last moment that the package knows (MT5.md 3.5)


class MarketCalls:
    """What the terminal knows of its server's market, whatever account is logged in."""

    def __init__(self, view: View) -> None:
        """Answer from `view`."""
        self._view = view
        self._priced_ms = dict.fromkeys(("EURUSD", "GBPUSD", "USDJPY", "XAUUSD"), 0)
        """Since when selected symbols have prices."""
        self._books: set[str] = set()
        self._asked_ms: dict[tuple[str, int], int] = {}

    def symbols_total(self) -> int:
        return len(self._view.prices().symbols)

    def symbols_get(self, group: str) -> list[rows.Row]:
        prices = self._view.prices()
        return [self._row(s, prices) for s in prices.symbols.values() if chosen(s.name, group)]

    def symbol_info(self, name: str) -> rows.Row | None:
        prices = self._view.prices()
        symbol = prices.symbols.get(name)
        return None if symbol is None else self._row(symbol, prices)

    def symbol_info_tick(self, name: str) -> rows.Row | None:
        prices = self._view.prices()
        if name not in prices.symbols:
            return None
        return rows.tick_row(prices.quote(name)) if self._priced(name) else rows.NO_TICK

    # `enable` has a place, not a name, on the wire.
    def symbol_select(self, name: str, enable: bool) -> bool | None:  # noqa: FBT001
        if name not in self._view.prices().symbols:
            return None
        if enable:
            self._priced_ms.setdefault(name, self._view.clock() + _FIRST_TICK_MS)
        else:
            self._priced_ms.pop(name, None)
        return True

    def market_book_add(self, name: str) -> bool | None:
        if name not in self._view.prices().symbols:
            return None
        self._books.add(name)
        return True

    def market_book_get(self, name: str) -> list[rows.Row] | None:
        return series.depth(self._view.prices(), name) if name in self._books else None

    def market_book_release(self, name: str) -> bool | None:
        known = name in self._books
        self._books.discard(name)
        return known or None

    def copy_rates_from(self, name: str, timeframe: int, from_s: int, count: int) -> Any:
        return self._bars(name, timeframe, last_ms=from_s * 1000, count=count)

    def copy_rates_from_pos(self, name: str, timeframe: int, start: int, count: int) -> Any:
        found = self._bars(name, timeframe, last_ms=_EVER_MS, count=start + count)
        return found and found[: len(found) - start][-count:]

    def copy_rates_range(self, name: str, timeframe: int, from_s: int, to_s: int) -> Any:
        if not self._known(name, timeframe):
            return None
        found = series.bars_between(
            self._view.prices(), name, timeframe, from_ms=from_s * 1000, to_ms=to_s * 1000
        )
        return self._loaded(name, timeframe, found)

    def copy_ticks_from(self, name: str, from_s: int, count: int, flags: int) -> Any:
        return self._ticks(name, flags, from_ms=from_s * 1000, to_ms=_EVER_MS, count=count)

    def copy_ticks_range(self, name: str, from_s: int, to_s: int, flags: int) -> Any:
        most = series.MAX_BARS
        return self._ticks(name, flags, from_ms=from_s * 1000, to_ms=to_s * 1000, count=most)

    def _row(self, symbol: Symbol, prices: Prices) -> rows.Row:
        name = symbol.name
        selected, priced = name in self._priced_ms, self._priced(name)
        return rows.symbol_row(symbol, prices, selected=selected, priced=priced)

    def _priced(self, name: str) -> bool:
        since_ms = self._priced_ms.get(name)
        return since_ms is not None and since_ms <= self._view.clock()

    def _known(self, name: str, timeframe: int) -> bool:
        return name in self._view.prices().symbols and timeframe in series.TIMEFRAMES

    def _bars(self, name: str, timeframe: int, *, last_ms: int, count: int) -> Any:
        if not self._known(name, timeframe):
            return None
        found = series.bars(self._view.prices(), name, timeframe, last_ms=last_ms, count=count)
        return self._loaded(name, timeframe, found)

    def _loaded(self, name: str, timeframe: int, found: list[rows.Row]) -> list[rows.Row]:
        now_ms = self._view.clock()
        first_ms = self._asked_ms.setdefault((name, timeframe), now_ms)
        return found[-_SHORT_BARS:] if now_ms < first_ms + _LOADING_MS else found

    def _ticks(self, name: str, flags: int, *, from_ms: int, to_ms: int, count: int) -> Any:
        prices = self._view.prices()
        if name not in prices.symbols:
            return None
        return series.ticks(prices, name, flags, from_ms=from_ms, to_ms=to_ms, count=count)
