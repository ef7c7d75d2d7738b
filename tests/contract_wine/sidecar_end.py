# SPDX-License-Identifier: Apache-2.0
"""The least of a sidecar: lets one agent in, says who logs in, and waits for what it says."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final

from mt5_agent import protocol

TOKEN: Final = "token-of-this-test"
PATIENCE_S: Final = 90.0
"""A first start under Wine on a busy machine; some seconds on an idle one."""
_READ_BYTES: Final = 65_536


class SidecarEnd:
    """A listener for one agent."""

    def __init__(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self._connection: socket.socket | None = None
        self._frames = protocol.Frames()
        self._asked = 0
        self.state: protocol.State | None = None
        self.answers: dict[int, protocol.Answer] = {}
        self._assembly = protocol.Assembly()

    @property
    def address(self) -> str:
        """Return where the agent finds us."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening."""
        if self._connection:
            self._connection.close()
        self._listener.close()

    def send(self, message: object) -> None:
        """Say something to the agent."""
        assert self._connection
        self._connection.sendall(protocol.encode(message))

    def welcome(self) -> None:
        """Let the agent in."""
        self._connection, _ = self._listener.accept()
        self._connection.settimeout(1)
        self.until(lambda: self.state is not None)

    def login(self, server: str) -> None:
        """Say who logs in."""
        account = {"login_id": 1, "login": 10001, "server": server, "password": "x"}
        self.send(protocol.Login(**account, symbols=("EURUSD",)))  # type: ignore[arg-type]

    def becomes(self, state: str, reason: str | None = None) -> protocol.State:
        """Wait until the agent says so."""
        self.until(lambda: self._says(state, reason))
        assert self.state
        return self.state

    def ask(self, call: str, *args: Any, within_ms: int = 10_000) -> protocol.Answer:
        """Have a call made; return its answer."""
        self._asked += 1
        number = self._asked
        self.send(protocol.Request(id=number, call=call, args=args, deadline_ms=within_ms))
        self.until(lambda: number in self.answers)
        return self.answers[number]

    def until(self, claim: Callable[[], bool]) -> None:
        """Read until `claim` holds."""
        end = time.monotonic() + PATIENCE_S
        while not claim():
            assert time.monotonic() < end, self.state
            for body in self._frames.feed(self._read()):
                self._take(protocol.decode_from_agent(body))

    def _says(self, state: str, reason: str | None) -> bool:
        now = self.state
        return now is not None and now.state == state and reason in {None, now.reason}

    def _read(self) -> bytes:
        assert self._connection
        try:
            data = self._connection.recv(_READ_BYTES)
        except TimeoutError:
            return b""
        assert data, "the agent hung up"
        return data

    def _take(self, message: protocol.FromAgent) -> None:
        match message:
            case protocol.Hello(token=token):
                assert token == TOKEN
                self.send(protocol.Welcome(version=protocol.VERSION))
            case protocol.State():
                self.state = message
            case protocol.Answer():
                self.answers[message.id] = self._assembly.whole(message)
            case protocol.Part():
                self._assembly.add(message)
