# SPDX-License-Identifier: Apache-2.0
"""The package's rules for arguments, odd ones included: MT5.md 3.5, and what the real package said
under Wine (`tests/contract_wine/behaviour.json`)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from mt5_simulator.structs import TradeRequest

TEXT_CHARACTERS: Final = 29
"""Most characters of `comment` and `symbol`. Source: MT5.md 3.5, read in the wheel."""
SYMBOL_CHARACTERS: Final = 63
"""Most characters of a symbol as an argument: 300 are refused, the exact limit is not known."""

DEFAULT_TIMEOUT_MS: Final = 60_000
_LARGEST: Final = 2**64
_FORGOTTEN: Final = "<built-in function> returned a result with an exception set"
"""What Python says where the package did not look whether a number could be read."""
_REALS: Final = frozenset({"volume", "price", "stoplimit", "sl", "tp"})
_TEXTS: Final = frozenset({"symbol", "comment"})
_ZEROS: Final[Mapping[str, Any]] = MappingProxyType(
    {name: 0.0 if name in _REALS else "" if name in _TEXTS else 0 for name in TradeRequest.fields}
)


class BadArgument(Exception):
    """The package answers this with None or False and -2; `str()` is last_error's text."""

    def __init__(self, text: str = "Invalid arguments") -> None:
        """Say `text`."""
        super().__init__(text)


def trade_request(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the 17 request fields; what is missing is zero, what is unknown is ignored.

    Raises:
        BadArgument: A value has the wrong type or length.
        SystemError: A number does not fit 64 bits; the package fails so.
    """
    if kwargs and args:
        raise BadArgument("Unnamed arguments not allowed")
    if not kwargs and len(args) != 1:
        raise BadArgument("Invalid number of arguments")
    if args and not isinstance(args[0], dict):
        raise BadArgument
    given = args[0] if args else kwargs
    return [_checked(name, given.get(name, zero)) for name, zero in _ZEROS.items()]


def placed(args: tuple[Any, ...], *kinds: Callable[[Any], Any], fewest: int = -1) -> list[Any]:
    """Return positional arguments, each as its kind reads it; the last ones may be missing.

    Raises:
        BadArgument: There are too few or too many, or one is not of its kind.
    """
    if not (len(kinds) if fewest < 0 else fewest) <= len(args) <= len(kinds):
        raise BadArgument
    return [kind(value) for kind, value in zip(kinds, args, strict=False)]


def named(name: str, kind: type, value: Any) -> Any:
    """Return the keyword argument `name`.

    Raises:
        BadArgument: It is not of its kind.
    """
    if not isinstance(value, kind):
        raise BadArgument(f'Invalid "{name}" argument')
    return value


def period(dates: tuple[Any, ...], *, by_number: bool) -> tuple[int, int]:
    """Return the two dates of a history call; one that asks by ticket or position needs none.

    Raises:
        BadArgument: There are too few or too many.
    """
    if not dates and by_number:
        return 0, 0
    begin_s, end_s = placed(dates, seconds, seconds)
    return begin_s, end_s


def seconds(moment: Any) -> int:
    """Return a date argument as the package reads it: seconds in 32 bits.

    Raises:
        BadArgument: It is neither number nor datetime.
    """
    if isinstance(moment, datetime):
        moment = moment.timestamp()  # a naive one means the local zone, as in the package
    if not _is_real(moment):
        raise BadArgument
    return int(moment) & 0xFFFFFFFF


def symbol(value: Any) -> str:
    """Return a symbol's name."""
    if not isinstance(value, str) or len(value) > SYMBOL_CHARACTERS:
        raise BadArgument
    return value


def whole(value: Any) -> int:
    """Return a whole number.

    Raises:
        SystemError: It is none; the package fails so.
    """
    if not isinstance(value, int):
        raise SystemError(_FORGOTTEN)  # noqa: TRY004 - what the package raises
    return value


def ticket(name: str, value: Any) -> int:
    """Return the keyword argument `name`, a number of 64 bits without a sign.

    Raises:
        BadArgument: It is no whole number.
        SystemError: It does not fit; the package fails so.
    """
    return _unsigned(named(name, int, value))


def real(value: Any) -> float:
    """Return a number, whole or not.

    Raises:
        SystemError: It is none; the package fails so.
    """
    if not _is_real(value):
        raise SystemError(_FORGOTTEN)
    return float(value)


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked(name: str, value: Any) -> Any:
    if name in _REALS:
        fits = isinstance(value, float)
    elif name in _TEXTS:
        fits = isinstance(value, str) and len(value) <= TEXT_CHARACTERS
    else:
        fits = isinstance(value, int)
    if not fits:
        raise BadArgument(f'Invalid "{name}" argument')
    return _unsigned(value) if isinstance(value, int) else value


def _unsigned(value: int) -> int:
    if not 0 <= value < _LARGEST:
        raise SystemError(_FORGOTTEN)
    return value
