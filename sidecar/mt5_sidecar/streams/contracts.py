# SPDX-License-Identifier: Apache-2.0
"""Symbols' digits: asked for once, when a symbol is first seen."""

import asyncio
import math
import time
from collections.abc import Callable

from mt5_agent import protocol
from mt5_sidecar.domain.contract import UNKNOWN_CONTRACT, Contract, contract
from mt5_sidecar.errors import BridgeError, TerminalRefused
from mt5_sidecar.logs import logger
from mt5_sidecar.terminal.terminal import Terminal


class ContractCache:
    """What is known of symbols; asks the terminal behind the caller's back."""

    def __init__(self, terminal: Terminal, learned: Callable[[], None], *, again_s: float) -> None:
        """Ask again after `again_s` for what the broker does not know: a page of history may name
        hundreds of symbols that it no longer has."""
        self._again_s = again_s
        self._terminal = terminal
        self._learned = learned
        self._known: dict[str, Contract] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._unknown: dict[str, float] = {}
        """Since when the broker does not know what history still names, on the monotonic clock."""

    def get(self, symbol: str) -> Contract:
        """Return the contract, or one without digits while it is being asked for."""
        known = self._known.get(symbol)
        if known is None and self._may_ask(symbol):
            self._asking[symbol] = asyncio.create_task(self._ask(symbol))
        return known or UNKNOWN_CONTRACT

    def learn(self, info: protocol.SymbolInfo) -> None:
        """Keep what somebody else asked for."""
        self._known[info.name] = contract(info)

    async def stop(self) -> None:
        """Ask no more."""
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _may_ask(self, symbol: str) -> bool:
        if symbol in self._asking or not self._terminal.connection.connected:
            return False
        return time.monotonic() - self._unknown.get(symbol, -math.inf) >= self._again_s

    async def _ask(self, symbol: str) -> None:
        try:
            self._known[symbol] = contract(await self._terminal.read("symbol_info", symbol))
        except (BridgeError, protocol.ProtocolError) as error:
            if isinstance(error, TerminalRefused) and not error.of_terminal:
                self._unknown[symbol] = time.monotonic()
            logger.warning("contract_unknown", symbol=symbol, why=str(error))
        finally:
            self._asking.pop(symbol, None)
        if symbol in self._known:
            self._learned()
