# SPDX-License-Identifier: Apache-2.0
"""The package's functions for bars, ticks and depth of market."""

from typing import Any

from mt5_simulator import structs
from mt5_simulator.arguments import BadArgument, placed, seconds, symbol, whole
from mt5_simulator.arrays import RATES, TICKS, array
from mt5_simulator.client import CONNECTION
from mt5_simulator.structs import many


def market_book_add(*args: Any) -> bool | None:
    """`symbol`: begin to receive its book."""
    return _booked("market_book_add", args)


def market_book_get(*args: Any) -> tuple[structs.BookInfo, ...] | None:
    """`symbol`: return its book; `market_book_add` comes first."""
    return many(structs.BookInfo, CONNECTION.asked("market_book_get", args, symbol))


def market_book_release(*args: Any) -> bool | None:
    """`symbol`: receive its book no more."""
    return _booked("market_book_release", args)


def copy_rates_from(*args: Any) -> Any:
    """`symbol, timeframe, date_from, count`: return bars up to a moment."""
    return array(CONNECTION.asked("copy_rates_from", args, symbol, whole, seconds, whole), RATES)


def copy_rates_from_pos(*args: Any) -> Any:
    """`symbol, timeframe, start_pos, count`: return bars, counted back from the present one."""
    return array(CONNECTION.asked("copy_rates_from_pos", args, symbol, whole, whole, whole), RATES)


def copy_rates_range(*args: Any) -> Any:
    """`symbol, timeframe, date_from, date_to`: return the bars that begin within."""
    found = CONNECTION.asked("copy_rates_range", args, symbol, whole, seconds, seconds)
    return array(found, RATES)


def copy_ticks_from(*args: Any) -> Any:
    """`symbol, date_from, count, flags`: return ticks from a moment on."""
    return array(CONNECTION.asked("copy_ticks_from", args, symbol, seconds, whole, whole), TICKS)


def copy_ticks_range(*args: Any) -> Any:
    """`symbol, date_from, date_to, flags`: return the ticks within."""
    return array(CONNECTION.asked("copy_ticks_range", args, symbol, seconds, seconds, whole), TICKS)


def _booked(name: str, args: tuple[Any, ...]) -> bool | None:
    try:
        arguments = placed(args, symbol)
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return None
    if not CONNECTION.attached:
        CONNECTION.fail(1, "Success")  # what the real package says, run under Wine (MT5.md 0)
        return False
    return bool(CONNECTION.call(name, *arguments))
