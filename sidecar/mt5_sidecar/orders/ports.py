# SPDX-License-Identifier: Apache-2.0
"""What the order core needs of the terminal: `mt5_sidecar.terminal.Terminal` is one."""

from typing import Any, Protocol

from mt5_sidecar.domain.connection import Connection
from mt5_sidecar.errors import TerminalUnavailable


class Terminal(Protocol):
    """Calls by the package's names, and whether the account is connected."""

    @property
    def connection(self) -> Connection:
        """How the account's connection is now."""

    @property
    def since_ms(self) -> int:
        """Since when it is like that (UTC ms): moves with every break, however short."""

    async def call(self, call: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return what `MetaTrader5.<call>` returned.

        Raises:
            TerminalUnavailable: The call was not made.
            TerminalRefused: The package answered None or False; `extra["code"]` is its last_error.
            TerminalTimeout: Made or not, no answer came.
        """

    def unavailable(self) -> TerminalUnavailable:
        """Return the error that says why the account is not connected."""
