# SPDX-License-Identifier: Apache-2.0
"""The symbols of the broker, in short, read rarely."""

from collections.abc import Callable
from typing import Final

from mt5_agent.protocol import SymbolInfo
from mt5_sidecar.api.answers import SymbolBrief
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.terminal.terminal import Terminal

# Thousands of symbols keep the terminal busy for a moment, and an order would wait behind them.
KEPT_FOR_MS: Final = 60_000


class Catalogue:
    """The symbols that were asked for last, kept for a minute."""

    def __init__(self, terminal: Terminal, *, clock: Callable[[], int] = now_ms) -> None:
        self._terminal = terminal
        self._clock = clock
        self._group = ""
        self._read_ms = 0
        self._symbols: list[SymbolBrief] = []

    async def symbols(self, group: str) -> list[SymbolBrief]:
        """Return the symbols of a group by name; the empty group is all of them."""
        now = self._clock()
        if group != self._group or now - self._read_ms > KEPT_FOR_MS:
            asked = {"group": group} if group else {}
            infos: list[SymbolInfo] = await self._terminal.call("symbols_get", **asked)
            self._symbols = sorted((brief(info) for info in infos), key=lambda s: s.name)
            self._group, self._read_ms = group, now
        return self._symbols


def brief(info: SymbolInfo) -> SymbolBrief:
    """Return a symbol in short."""
    return SymbolBrief(**{name: getattr(info, name) for name in SymbolBrief.__struct_fields__})
