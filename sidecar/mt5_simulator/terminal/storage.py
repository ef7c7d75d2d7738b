# SPDX-License-Identifier: Apache-2.0
"""Keeps the books of the pretended broker, so that a killed terminal loses no trade."""

from pathlib import Path

import msgspec

from mt5_simulator.broker.book import Book
from mt5_simulator.broker.opening import opening_book


class Storage:
    """One file per account under the data directory, replaced whole at each change."""

    def __init__(self, data_dir: Path) -> None:
        """Keep books under `data_dir`."""
        self._folder = data_dir / "simulated-broker"
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, server: str, login: int, *, netting: bool) -> Book:
        """Return the account's book, as it was left or as every account begins."""
        try:
            return msgspec.msgpack.decode(self._path(server, login).read_bytes(), type=Book)
        except (FileNotFoundError, msgspec.DecodeError):
            return opening_book(server, login, netting=netting)

    def save(self, book: Book) -> None:
        """Write `book` down before its answer is given."""
        path = self._path(book.server, book.login)
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.msgpack.encode(book))
        draft.replace(path)

    def _path(self, server: str, login: int) -> Path:
        return self._folder / f"{server.encode().hex()}-{login}.msgpack"
