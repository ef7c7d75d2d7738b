# SPDX-License-Identifier: Apache-2.0
"""Where the pretended broker's books are: in the terminal's own directory, or with a keeper."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from mt5_simulator import keeper, wire
from mt5_simulator.broker.book import Book
from mt5_simulator.broker.opening import opening_book

_PATIENCE_S: Final = 10.0


class Books(Protocol):
    """Books of accounts.

    Raises (all methods):
        Gone: Who keeps them does not answer.
    """

    pause_ms: int
    """Least time between two looks whether a limit is reached or an order expires."""

    def load(self, server: str, login: int, *, netting: bool) -> Book:
        """Return the account's book, as it was left or as every account begins."""

    def save(self, book: Book) -> None:
        """Write `book` down before its answer is given."""

    def turn(self, book: Book) -> AbstractContextManager[Book]:
        """Return a block that yields `book` as it is now, and in which nobody else changes it."""


class Storage:
    """One file per account under the data directory, replaced whole at each change.

    So a killed terminal loses no trade; no other terminal has these books.
    """

    pause_ms = 0

    def __init__(self, data_dir: Path) -> None:
        """Keep books under `data_dir`."""
        self._folder = data_dir / "simulated-broker"
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, server: str, login: int, *, netting: bool) -> Book:
        """See `Books`."""
        try:
            return msgspec.msgpack.decode(self._path(server, login).read_bytes(), type=Book)
        except (FileNotFoundError, msgspec.DecodeError):
            return opening_book(server, login, netting=netting)

    def save(self, book: Book) -> None:
        """See `Books`."""
        path = self._path(book.server, book.login)
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.msgpack.encode(book))
        draft.replace(path)

    @contextmanager
    def turn(self, book: Book) -> Iterator[Book]:
        """See `Books`."""
        yield book

    def _path(self, server: str, login: int) -> Path:
        return self._folder / f"{server.encode().hex()}-{login}.msgpack"


class SharedStorage:
    """The books of a keeper (`mt5_simulator.keeper`), which other terminals have as well."""

    pause_ms = 1000

    def __init__(self, place: tuple[str, int]) -> None:
        """Ask the keeper at `place`, a host and a port."""
        self._place = place
        self._connection: socket.socket | None = None
        self._known = 0
        """Version of the book that the session has; 0: it may differ from any."""

    def load(self, server: str, login: int, *, netting: bool) -> Book:
        """See `Books`."""
        self._known = 0
        book = Book(login, server, next_ticket=0, deposit=0.0, netting=netting)
        with self.turn(book) as found:
            return found

    def save(self, book: Book) -> None:
        """See `Books`."""
        self._known = self._ask(keeper.put, msgspec.msgpack.encode(book))

    @contextmanager
    def turn(self, book: Book) -> Iterator[Book]:
        """See `Books`."""
        version, news = self._ask(
            keeper.take, book.server, book.login, netting=book.netting, known=self._known
        )
        self._known = 0  # what is changed and not saved is nobody's
        try:
            yield book if news is None else msgspec.msgpack.decode(news, type=Book)
            self._known = self._known or version
        finally:
            if self._connection is not None:
                self._ask(keeper.give)

    def close(self) -> None:
        """End the connection; the next call makes another one."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
        self._connection = None

    def _ask(self, what: Any, *words: Any, **named: Any) -> Any:
        try:
            if self._connection is None:
                self._connection = socket.create_connection(self._place, timeout=_PATIENCE_S)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return what(self._connection, *words, **named)
        except (OSError, wire.Gone) as error:
            self.close()
            raise wire.Gone from error
