# SPDX-License-Identifier: Apache-2.0
"""The terminal's connection to its broker: from log-in through drops to the next log-in."""

from dataclasses import dataclass
from typing import Final, Literal

from mt5_simulator.broker.book import Book
from mt5_simulator.broker.clock import Clock
from mt5_simulator.terminal.journal import Journal
from mt5_simulator.terminal.scenario import Scenario, scenario_of
from mt5_simulator.terminal.storage import Books

Phase = Literal["idle", "authorizing", "ready", "refused", "silent"]
BUILD: Final = 5000
_AUTH_FAILED: Final = -6


@dataclass(slots=True)
class Link:
    """One log-in and what became of it."""

    login: int
    server: str
    password: str
    began_ms: int
    phase: Phase = "authorizing"
    refusal: tuple[int, str] = (0, "")
    authorized_ms: int = 0
    lost: bool = False

    @property
    def scenario(self) -> Scenario:
        """Return how its server behaves."""
        return scenario_of(self.server)


class Session:
    """Which account is logged in, and whether the broker is there. Advanced by `advance` alone."""

    def __init__(self, *, journal: Journal, storage: Books, clock: Clock, wine: bool) -> None:
        """Start without an account."""
        self._journal = journal
        self._storage = storage
        self._clock = clock
        self._wine = wine
        self.link: Link | None = None
        self.book: Book | None = None

    @property
    def connected(self) -> bool:
        """Tell whether the account is authorised and its link up."""
        return self.link is not None and self.link.phase == "ready" and not self.link.lost

    def login(self, login: int, server: str, password: str) -> None:
        """Begin to log in; the account now logged in stays if it is the same."""
        link = self.link
        wanted = (login, server, password)
        if link and link.phase == "ready" and (link.login, link.server, link.password) == wanted:
            return
        self.link = Link(login, server, password, self._clock())
        self.book = None

    def verdict(self) -> tuple[Phase, int, str]:
        """Return where the log-in stands, with last_error's code and text when refused."""
        self.advance()
        if self.link is None:
            return "idle", 0, ""
        return self.link.phase, *self.link.refusal

    def advance(self) -> None:
        """Do what is due by now: answer a log-in, lose or regain the link."""
        link = self.link
        if link is None:
            return
        if link.phase == "authorizing" and self._elapsed_ms(link) >= link.scenario.login_ms:
            self._answer(link)
        elif link.phase == "ready":
            self._follow(link)

    def _elapsed_ms(self, link: Link) -> int:
        return self._clock() - link.began_ms

    def _answer(self, link: Link) -> None:
        scenario = link.scenario
        if not scenario.known:
            link.phase = "silent"
        elif not scenario.reachable:
            link.phase = "silent"
            self._say(link, f"no connection to {link.server}")
        elif refusal := self._refusal(link):
            code, text, words = refusal
            link.phase, link.refusal = "refused", (code, text)
            self._say(link, f"authorization on {link.server} failed ({words})")
        else:
            self._authorize(link)

    def _refusal(self, link: Link) -> tuple[int, str, str] | None:
        accepts = link.scenario.accepts
        if not link.password or (accepts and link.password != accepts):
            return _AUTH_FAILED, "Terminal: Authorization failed", "Invalid account"
        return link.scenario.refusal

    def _authorize(self, link: Link) -> None:
        self.book = self._storage.load(link.server, link.login, netting=link.scenario.netting)
        link.phase, link.authorized_ms, link.lost = "ready", self._clock(), False
        self._announce(link)

    def _announce(self, link: Link) -> None:
        book = self.book
        held, waiting = (len(book.positions), len(book.orders)) if book else (0, 0)
        self._say(
            link,
            f"authorized on {link.server} through Access Point 1 (ping: 12.34 ms, build {BUILD})",
        )
        self._say(
            link,
            f"terminal synchronized with MT5 Bridge Simulator: {held} positions, {waiting} orders",
        )
        mode = "netting" if link.scenario.netting else "hedging"
        rights = "disabled - investor" if link.scenario.investor else f"enabled - {mode}"
        self._say(link, f"trading has been {rights} mode")

    def _follow(self, link: Link) -> None:
        outage = link.scenario.outage or (link.scenario.wine_outage if self._wine else None)
        lost = outage is not None and outage.lost(self._clock() - link.authorized_ms)
        if lost and not link.lost:
            self._say(link, f"connection to {link.server} lost")
        elif link.lost and not lost:
            self._announce(link)
        link.lost = lost

    def _say(self, link: Link, message: str) -> None:
        self._journal.write("Network", f"'{link.login}': {message}")
