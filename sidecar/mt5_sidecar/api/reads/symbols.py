# SPDX-License-Identifier: Apache-2.0
"""Market data that is asked of the terminal now."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from aiohttp import web

from mt5_agent import protocol
from mt5_sidecar.api.answers import JSON, SymbolAnswer
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.requests.operation import caller
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.patience import awaited
from mt5_sidecar.domain.symbol_view import symbol as symbol_view
from mt5_sidecar.errors import InvalidRequest, TerminalRefused, TooManySymbols, UnknownSymbol
from mt5_sidecar.orders.errors import NoPrice

# The package takes at most 29 characters (MT5.md 3.5); control characters never name a symbol.
SYMBOL: Final = re.compile(r"[^\x00-\x1f\x7f,]{1,29}")
# Part of the API, as MOST_DAYS.
MOST_SYMBOLS: Final = 50
T = TypeVar("T")

# Between two looks for the first price of a symbol.
LOOK_AGAIN_S: Final = 0.1


async def symbol(request: web.Request) -> web.Response:
    """Answer with one symbol's contract and last prices."""
    context = request.app[CONTEXT]
    name = checked_symbol(request.match_info["symbol"])
    info = await _priced_info(context, caller(request).subject, name)
    answer = SymbolAnswer(symbol_view(info, zone_s=context.feed.zone_s), context.feed.zone_s)
    return web.Response(body=encode(answer), content_type=JSON)


async def symbol_info(context: Context, name: str) -> protocol.SymbolInfo:
    """Return the contract of `name`.

    Raises:
        UnknownSymbol: the broker does not have it.
        TerminalRefused: the terminal cannot say.
    """
    with TerminalRefused.of_symbol(f"no symbol '{name}' at this broker"):
        info: protocol.SymbolInfo = await context.terminal.read("symbol_info", name)
    context.feed.contracts.learn(info)
    return info


async def live_ticks(context: Context, subject: str, names: Iterable[str]) -> tuple[bytes, ...]:
    """Return the prices of symbols that nobody watches, as JSON; waits for their first ones.

    Raises:
        UnknownSymbol: the broker does not have one of them, or gives no prices of it.
        TooManySymbols: too many were selected for clients already.
        NoPrice: one has no price yet.
        TerminalRefused: the terminal cannot say.
    """
    ticks: dict[str, protocol.Tick | None] = dict.fromkeys(names)
    for name in ticks:
        if not (await symbol_info(context, name)).select:
            await select(context, subject, name)

    async def look() -> bool:
        for name, seen in ticks.items():
            if seen is None:
                tick = await _of_symbol(context, name, "symbol_info_tick")
                ticks[name] = tick if _priced(tick) else None
        return None not in ticks.values()

    if not await _in_time(context, look, bool):
        lacking = min(name for name, tick in ticks.items() if tick is None)
        raise NoPrice(f"{lacking} has no price yet", symbol=lacking, retry_after_s=1)
    return tuple(context.feed.tick_json(name, tick) for name, tick in ticks.items() if tick)


async def _priced_info(context: Context, subject: str, name: str) -> protocol.SymbolInfo:
    info = await symbol_info(context, name)
    if info.select and _priced(info):
        return info
    # A contract is of use without prices, also where the terminal will not show any.
    with contextlib.suppress(UnknownSymbol, TooManySymbols):
        if not info.select:
            await select(context, subject, name)

        async def look() -> protocol.SymbolInfo:
            nonlocal info
            info = await symbol_info(context, name)
            return info

        await _in_time(context, look, _priced)
    return info


async def _in_time(
    context: Context, look: Callable[[], Awaitable[T]], good: Callable[[T], bool]
) -> T:
    # Source: MT5.md 5: the first tick after selection is zero for up to 2 s.
    return await awaited(
        await look(),
        look,
        good,
        timeout_s=context.settings.first_tick_timeout_s,
        interval_s=LOOK_AGAIN_S,
        sleep=asyncio.sleep,
    )


def _priced(seen: protocol.Tick | protocol.SymbolInfo) -> bool:
    return bool(seen.bid or seen.ask or seen.last)


async def select(context: Context, subject: str, name: str) -> None:
    """Have a symbol in Market Watch that is not there.

    Raises:
        UnknownSymbol: the terminal does not show it.
        TooManySymbols: too many were selected for clients already.
        TerminalRefused: the terminal cannot say.
    """
    context.selected.take(subject, (name,))
    await _of_symbol(context, name, "symbol_select", True)  # noqa: FBT003  the package's


async def _of_symbol(context: Context, name: str, call: str, *args: object) -> Any:
    with TerminalRefused.of_symbol(f"no prices of '{name}' at this broker"):
        return await context.terminal.read(call, name, *args)


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
