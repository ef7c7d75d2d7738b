# SPDX-License-Identifier: Apache-2.0
"""The symbols of the broker, in short, read rarely."""

from collections.abc import Callable
from typing import Final

from mt5_agent.protocol import SymbolInfo
from mt5_sidecar.api.answers import SymbolBrief
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.terminal import Terminal

ANY: Final = "*"
NOT: Final = "!"


class Catalogue:
    """All symbols, kept for `symbols_cache_s`: whatever group is asked for, they are read once."""

    def __init__(
        self, settings: Settings, terminal: Terminal, *, clock: Callable[[], int] = now_ms
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._clock = clock
        self._read_ms: int | None = None
        self._symbols: list[SymbolBrief] = []

    async def symbols(self, group: str) -> list[SymbolBrief]:
        """Return the symbols of a group by name; the empty group is all of them."""
        now, read_ms = self._clock(), self._read_ms
        kept_for_ms = self._settings.symbols_cache_s * 1000
        # Also after a clock was set back.
        if read_ms is None or not 0 <= now - read_ms <= kept_for_ms:
            infos: list[SymbolInfo] = await self._terminal.read("symbols_get")
            self._symbols = sorted((brief(info) for info in infos), key=lambda s: s.name)
            self._read_ms = now
        return [symbol for symbol in self._symbols if chosen(symbol.name, group)]


def brief(info: SymbolInfo) -> SymbolBrief:
    """Return a symbol in short."""
    return SymbolBrief(**{name: getattr(info, name) for name in SymbolBrief.__struct_fields__})


def chosen(name: str, group: str) -> bool:
    """Tell whether `name` is of `group` as the package has it: masks by comma, one after the other,
    `!` excludes."""
    found = not group
    for mask in filter(None, (part.strip() for part in group.split(","))):
        if mask.startswith(NOT):
            found = found and not _fits(name, mask.removeprefix(NOT))
        else:
            found = found or _fits(name, mask)
    return found


def _fits(name: str, mask: str) -> bool:
    # By hand: as a pattern, a mask of many stars takes years. And `[` is a part of names.
    first, *rest = mask.split(ANY)
    if not rest:
        return name == mask
    *middle, last = rest
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
