# SPDX-License-Identifier: Apache-2.0
"""Market data that is asked of the terminal now."""

import re
from typing import Final

from aiohttp import web

from mt5_agent import protocol
from mt5_sidecar.api.answers import SymbolAnswer
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.status import JSON
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.symbol_view import symbol as symbol_view
from mt5_sidecar.errors import InvalidRequest, TerminalRefused, UnknownSymbol

# The package takes at most 29 characters (MT5.md 3.5); control characters never name a symbol.
SYMBOL: Final = re.compile(r"[^\x00-\x1f\x7f,]{1,29}")
MOST_SYMBOLS: Final = 50


async def symbol(request: web.Request) -> web.Response:
    """Answer with one symbol's contract and last prices."""
    context = request.app[CONTEXT]
    name = checked_symbol(request.match_info["symbol"])
    info = await symbol_info(context, name)
    answer = SymbolAnswer(symbol_view(info, zone_s=context.feed.zone_s), context.feed.zone_s)
    return web.Response(body=encode(answer), content_type=JSON)


async def symbol_info(context: Context, name: str) -> protocol.SymbolInfo:
    """Return the contract of `name`.

    Raises:
        UnknownSymbol: the broker does not have it.
        TerminalRefused: the terminal cannot say.
    """
    try:
        info: protocol.SymbolInfo = await context.terminal.call("symbol_info", name)
    except TerminalRefused as error:
        if error.of_terminal:
            raise
        raise UnknownSymbol(f"no symbol '{name}' at this broker") from error
    context.feed.contracts.learn(info)
    return info


async def live_tick(context: Context, name: str) -> bytes:
    """Return the price of a symbol that nobody watches, as JSON.

    Raises:
        UnknownSymbol: the broker does not have it, or gives no prices.
        TerminalRefused: the terminal cannot say.
    """
    await symbol_info(context, name)
    try:
        await context.terminal.call("symbol_select", name, True)  # noqa: FBT003  the package's
        tick = await context.terminal.call("symbol_info_tick", name)
    except TerminalRefused as error:
        if error.of_terminal:
            raise
        raise UnknownSymbol(f"no prices of '{name}' at this broker") from error
    return context.feed.tick_json(name, tick)


def checked_symbol(name: str) -> str:
    """Return the name of one symbol.

    Raises:
        InvalidRequest: it cannot be one.
    """
    if not SYMBOL.fullmatch(name):
        raise InvalidRequest("a symbol has 1 to 29 characters, and no comma")
    return name


def checked_symbols(text: str) -> list[str]:
    """Return the symbols of a comma-separated list.

    Raises:
        InvalidRequest: one cannot be a symbol, or there are too many.
    """
    symbols = list(dict.fromkeys(text.split(",")))
    if len(symbols) > MOST_SYMBOLS:
        raise InvalidRequest(f"at most {MOST_SYMBOLS} symbols at once")
    return [checked_symbol(name) for name in symbols]
