# SPDX-License-Identifier: Apache-2.0
"""The package's one connection of a process, and its last_error."""

import socket
import time
from pathlib import Path
from typing import Any, Final

from mt5_simulator import wire

_POLL_S: Final = 0.1
"""How often a log-in is asked after. Source: MT5.md 3.4, point 3."""


class Connection:
    """Synchronous, and blocked for ever by a terminal that does not answer: as the package is."""

    def __init__(self) -> None:
        """Start without a terminal."""
        self._socket: socket.socket | None = None
        self.error: tuple[int, str] = (0, "")

    def open(self, data_dir: Path) -> bool:
        """Attach to the terminal that runs in `data_dir`."""
        self.close()
        try:
            self._socket = wire.connect(data_dir)
        except wire.Gone:
            self.fail(-10003, "IPC initialize failed, Process create failed")
        return self._socket is not None

    def close(self) -> None:
        """Detach."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def fail(self, code: int, text: str) -> None:
        """Set last_error."""
        self.error = (code, text)

    def call(self, name: str, *args: Any) -> Any:
        """Make one call; None and last_error when it fails."""
        if self._socket is None:
            self.fail(-10004, "No IPC connection")
            return None
        try:
            wire.send(self._socket, [name, args])
        except wire.Gone:
            self.fail(-10001, "IPC send failed")
            return None
        try:
            code, text, value = wire.receive(self._socket)
        except wire.Gone:
            self.fail(-10002, "IPC recv failed")
            return None
        self.fail(code, text)
        return value

    def login(self, login: int, server: str, password: str, timeout_ms: int) -> bool:
        """Log in, then wait for the verdict."""
        if self.call("login", login, server, password) is None:
            return False
        return self.wait(timeout_ms)

    def wait(self, timeout_ms: int) -> bool:
        """Wait until the terminal is logged in; -6, -5 or -7 when refused, -10005 when neither."""
        deadline = time.monotonic() + timeout_ms / 1000
        while (verdict := self.call("verdict")) is not None:
            phase, code, text = verdict
            if phase == "ready":
                return True
            if phase == "refused":
                self.fail(code, text)
                return False
            if time.monotonic() >= deadline:
                self.fail(-10005, "IPC timeout")
                return False
            time.sleep(_POLL_S)
        return False
