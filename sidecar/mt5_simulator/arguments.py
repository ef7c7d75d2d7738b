# SPDX-License-Identifier: Apache-2.0
"""The package's rules for arguments, odd ones included (MT5.md 3.5)."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from mt5_simulator.structs import TradeRequest

TEXT_CHARACTERS: Final = 29
"""Most characters of `comment` and `symbol`. Source: MT5.md 3.5, read in the wheel."""

DEFAULT_TIMEOUT_MS: Final = 60_000
_REALS: Final = frozenset({"volume", "price", "stoplimit", "sl", "tp"})
_TEXTS: Final = frozenset({"symbol", "comment"})
_ZEROS: Final[Mapping[str, Any]] = MappingProxyType(
    {name: 0.0 if name in _REALS else "" if name in _TEXTS else 0 for name in TradeRequest.fields}
)


class BadArgument(Exception):
    """The package answers this with None and -2; `str()` is last_error's text."""


def trade_request(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the 17 request fields; what is missing is zero, what is unknown is ignored.

    Raises:
        BadArgument: A value has the wrong type or length.
    """
    if kwargs and args:
        raise BadArgument("Unnamed arguments not allowed")
    if args and (len(args) != 1 or not isinstance(args[0], dict)):
        raise BadArgument("Invalid arguments")
    given = args[0] if args else kwargs
    return [_checked(name, given.get(name, zero)) for name, zero in _ZEROS.items()]


def period(dates: tuple[Any, ...], *, by_number: bool) -> tuple[int, int]:
    """Return the two dates of a history call, none when it asks by ticket or position.

    Raises:
        BadArgument: There are too few or too many.
    """
    if len(dates) != (0 if by_number else 2):
        raise BadArgument("Invalid arguments")
    return (seconds(dates[0]), seconds(dates[1])) if dates else (0, 0)


def seconds(moment: Any) -> int:
    """Return a date argument as the package reads it: seconds in 32 bits.

    Raises:
        BadArgument: It is neither number nor datetime.
    """
    if isinstance(moment, datetime):
        moment = moment.timestamp()  # a naive one means the local zone, as in the package
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise BadArgument("Invalid arguments")
    return int(moment) & 0xFFFFFFFF


def _checked(name: str, value: Any) -> Any:
    if name in _REALS:
        fits = isinstance(value, float)
    elif name in _TEXTS:
        fits = isinstance(value, str) and len(value) <= TEXT_CHARACTERS
    else:
        fits = isinstance(value, int)
    if not fits:
        raise BadArgument(f'Invalid "{name}" argument')
    return value
