# SPDX-License-Identifier: Apache-2.0
"""The terminal's side of each call: finds who answers it, and turns answers into last_error."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, Final

from mt5_simulator import wire
from mt5_simulator.broker import passing, rows, symbols
from mt5_simulator.broker.clock import Clock
from mt5_simulator.broker.series import MAX_BARS
from mt5_simulator.terminal.account_calls import AccountCalls
from mt5_simulator.terminal.market_calls import MarketCalls
from mt5_simulator.terminal.session import BUILD, Phase, Session
from mt5_simulator.terminal.storage import Books
from mt5_simulator.terminal.trade_calls import ReplyLost, TradeCalls
from mt5_simulator.terminal.view import View

OK: Final = (1, "Success")
NOT_FOUND: Final = (-4, "Terminal: Not found")
NO_REPLY: Final = (-10002, "IPC recv failed")
Reply = tuple[int, str, Any]


class NeverAnswers(Exception):
    """The scenario wants this call to hang."""


class SessionCalls:
    """Calls about the terminal itself and its log-in."""

    def __init__(self, view: View) -> None:
        """Answer from `view`."""
        self._view = view

    def login(self, login: int, server: str, password: str) -> bool:
        self._view.session.login(login, server, password)
        return True

    def verdict(self) -> tuple[Phase, int, str]:
        return self._view.session.verdict()

    def version(self) -> tuple[int, int, str]:
        return 500, BUILD, "21 Nov 2026"

    def terminal_info(self) -> rows.Row:
        up, path = self._view.session.connected, self._view.data_dir
        autotrading = self._view.scenario.autotrading
        return (
            *(
                False,
                False,
                up,
                False,
                autotrading,
                False,
                False,
                False,
                False,
                False,
                BUILD,
                MAX_BARS,
            ),
            *(0, 12_340 if up else 0, 0.0, 0.0, rows.COMPANY, "MetaTrader 5", "English"),
            *(path, path, path),
        )


class Calls:
    """Answers calls for whichever account the session has."""

    def __init__(self, session: Session, storage: Books, clock: Clock, data_dir: str) -> None:
        """Answer from `session`."""
        self._view = view = View(session, storage, clock, data_dir)
        on_book = _methods(AccountCalls(view), TradeCalls(view))
        self._on_book = frozenset(on_book)
        self._methods = _methods(SessionCalls(view), MarketCalls(view)) | on_book

    def answer(self, name: str, args: list[Any]) -> Reply:
        """Return last_error's code and text, and the value, of the call `name`.

        Raises:
            NeverAnswers: This one hangs.
        """
        method = self._methods.get(name)
        if method is None:
            return -1, f"Terminal: {name} is not simulated", None
        try:
            self._view.session.advance()
            with self._view.turn() if name in self._on_book else nullcontext():
                value = method(*args)
        except (ReplyLost, wire.Gone):
            return (*NO_REPLY, None)
        self._hang_if_asked(name, args)
        return (*OK, value) if value is not None else (*NOT_FOUND, None)

    def advance(self) -> None:
        """Let the session and the market go on."""
        session = self._view.session
        with suppress(wire.Gone):
            session.advance()
            if session.book is None or not session.connected or not self._view.due():
                return
            with self._view.turn():
                if passing.advance(self._view.book, self._view.prices()):
                    self._view.save()

    def _hang_if_asked(self, name: str, args: list[Any]) -> None:
        if not self._view.scenario.hangs:
            return
        named = {arg for arg in args if isinstance(arg, str)}
        named |= {arg[3] for arg in args if isinstance(arg, list) and len(arg) > 3}
        orders_hang = name == "order_send" and symbols.HANGING_ORDERS in named
        if orders_hang or symbols.HANGING in named:
            raise NeverAnswers


def _methods(*groups: object) -> dict[str, Callable[..., Any]]:
    return {
        name: getattr(group, name)
        for group in groups
        for name in vars(type(group))
        if not name.startswith("_")
    }
