# SPDX-License-Identifier: Apache-2.0
"""Serves calls to whoever connects: a thread per client, one call at a time for all of them."""

import contextlib
import socket
import threading
from typing import Any

from mt5_simulator import wire
from mt5_simulator.terminal.calls import Calls, NeverAnswers, Reply

_TURN_S = 0.1
"""How often session and market go on while nobody calls."""


class Server:
    """Answers until the process ends; a client that vanishes costs nothing."""

    def __init__(self, calls: Calls, listener: socket.socket) -> None:
        """Serve `calls` on `listener`."""
        self._calls = calls
        self._listener = listener
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to accept clients and to let time pass; return at once."""
        for work in (self._accept, self._turn):
            threading.Thread(target=work, daemon=True).start()

    def _turn(self) -> None:
        while not self._stopping.wait(_TURN_S):
            with self._lock:
                self._calls.advance()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(wire.Gone):
            while True:
                name, args = wire.receive(client)
                try:
                    wire.send(client, self._answer(name, args))
                except NeverAnswers:
                    wire.receive(client)  # only to notice that the client was killed

    def _answer(self, name: str, args: list[Any]) -> Reply:
        with self._lock:
            return self._calls.answer(name, args)
