# SPDX-License-Identifier: Apache-2.0
"""The package's one connection of a process, and its last_error."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mt5_simulator import wire
from mt5_simulator.arguments import BadArgument, placed

_POLL_S: Final = 0.1
"""How often a log-in is asked after. Source: MT5.md 3.4, point 3."""


class Connection:
    """Synchronous, and blocked for ever by a terminal that does not answer: as the package is."""

    def __init__(self) -> None:
        """Start without a terminal."""
        self._socket: socket.socket | None = None
        self.error: tuple[int, str] = (0, "")

    @property
    def attached(self) -> bool:
        """Tell whether there is a terminal."""
        return self._socket is not None

    def open(self, program: str) -> bool:
        """Attach to the terminal whose program is `program`."""
        self.close()
        try:
            self._socket = wire.connect(Path(program).parent)
        except wire.Gone:
            self.fail(-10003, f"IPC initialize failed, Process create failed '{program}'")
        return self._socket is not None

    def close(self) -> None:
        """Detach."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def fail(self, code: int, text: str) -> None:
        """Set last_error."""
        self.error = (code, text)

    def asked(
        self, name: str, args: tuple[Any, ...], *kinds: Callable[[Any], Any], fewest: int = -1
    ) -> Any:
        """Make a call with positional arguments; None and -2 when they are not of their kinds."""
        try:
            arguments = placed(args, *kinds, fewest=fewest)
        except BadArgument as error:
            self.fail(-2, str(error))
            return None
        return self.call(name, *arguments)

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


CONNECTION: Final = Connection()
"""The one of this process, as the package has one."""
