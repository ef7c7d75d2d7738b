# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_simulator.keeper --listen 0.0.0.0:9700`: one broker for terminals of many pods.

Without it each simulated terminal is its own broker, and an account that moves to another pod finds
another book there. It keeps books, and lets one terminal at a time work on each: a terminal takes
a book, puts down what it changed, and gives it back. What a terminal holds when its connection
ends is given back for it. Books live as long as this process.

`--show SERVER LOGIN` prints, as JSON, what the keeper that listens here has of an account.
"""

import argparse
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mt5_simulator import wire
from mt5_simulator.broker.book import Book
from mt5_simulator.broker.opening import opening_book

_BACKLOG: Final = 256


@dataclass(slots=True)
class _Page:
    """A book, and how often it changed."""

    book: bytes
    version: int = 1
    turn: threading.Lock = field(default_factory=threading.Lock)


class Keeper:
    """All books; a thread per terminal."""

    def __init__(self) -> None:
        """Begin without a book."""
        self._pages: dict[tuple[str, int], _Page] = {}
        self._lock = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        """Accept terminals until `listener` is closed."""
        with contextlib.suppress(OSError):
            while True:
                terminal, _ = listener.accept()
                terminal.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(terminal,), daemon=True).start()

    def _serve(self, terminal: socket.socket) -> None:
        with terminal, contextlib.suppress(wire.Gone):
            while True:
                _, server, login, netting, known = wire.receive(terminal)  # "take"
                with self._taken(server, login, netting=netting) as page:
                    news = None if known == page.version else page.book
                    wire.send(terminal, [page.version, news])
                    _work(terminal, page)

    @contextlib.contextmanager
    def _taken(self, server: str, login: int, *, netting: bool) -> Iterator[_Page]:
        with self._lock:
            page = self._pages.get((server, login))
            if page is None:
                book = opening_book(server, login, netting=netting)
                page = self._pages[server, login] = _Page(msgspec.msgpack.encode(book))
        with page.turn:
            yield page


def _work(terminal: socket.socket, page: _Page) -> None:
    while True:
        word, *rest = wire.receive(terminal)
        if word == "give":
            return
        (page.book,) = rest  # "put"
        page.version += 1
        wire.send(terminal, page.version)


def take(keeper: socket.socket, server: str, login: int, *, netting: bool, known: int) -> Any:
    """Wait for the turn; return the book's version, and the book unless it is the `known` one."""
    wire.send(keeper, ["take", server, login, netting, known])
    return wire.receive(keeper)


def put(keeper: socket.socket, book: bytes) -> int:
    """Write the book down, and return its new version."""
    wire.send(keeper, ["put", book])
    return int(wire.receive(keeper))


def give(keeper: socket.socket) -> None:
    """End the turn."""
    wire.send(keeper, ["give"])


def address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`.

    Raises:
        ValueError: It is none.
    """
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def main(words: list[str] | None = None) -> int:
    """Keep books until SIGTERM, or show one."""
    parser = argparse.ArgumentParser(prog="mt5_simulator.keeper")
    parser.add_argument("--listen", type=address, default=("0.0.0.0", 9700))  # noqa: S104 - pods
    parser.add_argument("--show", nargs=2, metavar=("SERVER", "LOGIN"))
    options = parser.parse_args(words)
    if options.show:
        _show(options.listen[1], options.show[0], int(options.show[1]))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    family = socket.AF_INET6 if ":" in options.listen[0] else socket.AF_INET
    listener = socket.create_server(options.listen, family=family, backlog=_BACKLOG)
    sys.stdout.write(f"keeping books on port {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    Keeper().serve(listener)
    return 0


def _show(port: int, server: str, login: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as keeper:
        _, book = take(keeper, server, login, netting=False, known=0)
        give(keeper)
    shown = msgspec.json.encode(msgspec.msgpack.decode(book, type=Book))
    sys.stdout.write(shown.decode() + "\n")


if __name__ == "__main__":
    sys.exit(main())
