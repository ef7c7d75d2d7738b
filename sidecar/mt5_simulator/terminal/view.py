# SPDX-License-Identifier: Apache-2.0
"""What calls see of the terminal: its session, the market and the book at this moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mt5_simulator.broker import symbols
from mt5_simulator.broker.book import Book
from mt5_simulator.broker.clock import Clock, closed_since_ms, last_close_ms
from mt5_simulator.broker.valuation import Prices
from mt5_simulator.terminal.scenario import Scenario, scenario_of
from mt5_simulator.terminal.session import Session
from mt5_simulator.terminal.storage import Books

_NOWHERE: Final = scenario_of("")


class View:
    """The parts of one terminal that its calls share."""

    def __init__(self, session: Session, storage: Books, clock: Clock, data_dir: str) -> None:
        """Look at `session`."""
        self.session, self.clock, self.data_dir = session, clock, data_dir
        self._storage = storage
        self._passed_ms = 0

    @property
    def scenario(self) -> Scenario:
        """Return how the server behaves that is logged in to."""
        return self.session.link.scenario if self.session.link else _NOWHERE

    @property
    def book(self) -> Book:
        """Return the account's book, an empty one without an account."""
        return self.session.book or Book(login=0, server="", next_ticket=0, deposit=0.0)

    def prices(self) -> Prices:
        """Return the market now."""
        link, scenario, now_ms = self.session.link, self.scenario, self.clock()
        market = symbols.market(hangs=scenario.hangs)
        stands_ms = None
        if scenario.closed:
            stands_ms = last_close_ms(now_ms)
        elif scenario.sessions:
            stands_ms = closed_since_ms(now_ms)
        server = link.server if link else ""
        if stands_ms is None:
            return Prices(server, now_ms, market)
        return Prices(server, stands_ms, market, open=False)

    def save(self) -> None:
        """Write the book down."""
        self._storage.save(self.book)

    def due(self) -> bool:
        """Tell whether it is time to let time pass in the book, and begin to wait again if so."""
        now_ms = self.clock()
        if now_ms - self._passed_ms < self._storage.pause_ms:
            return False
        self._passed_ms = now_ms
        return True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the book as it is now, and nobody else change it in this block."""
        book = self.session.book
        if book is None:
            yield
            return
        with self._storage.turn(book) as self.session.book:
            yield
