# SPDX-License-Identifier: Apache-2.0
"""Makes the package's argument traps impossible (MT5.md 3.5): what could be misread never reaches
it."""

import math
from typing import Any, Final

from mt5_agent.protocol import TradeRequest

COMMENT_CHARACTERS: Final = 29
"""Most characters of `comment` and `symbol`. Source: MT5.md 3.5, read in the wheel."""

_KINDS: Final[dict[str, type]] = TradeRequest.__annotations__
_LARGEST: Final = 2**64 - 1  # ids and magic are unsigned 64 bits (MT5.md 3.3)
_LATEST_S: Final = 2**32 - 1  # dates are cut to 32-bit seconds (MT5.md 3.5)
_TRADES: Final = frozenset({"order_send", "order_check"})
_BY_KEYWORD: Final[dict[str, dict[str, type]]] = {
    "positions_get": {"symbol": str, "ticket": int, "group": str},
    "orders_get": {"symbol": str, "ticket": int, "group": str},
    "symbols_get": {"group": str},
    "history_orders_get": {"group": str, "ticket": int, "position": int},
    "history_deals_get": {"group": str, "ticket": int, "position": int},
}
_HISTORY: Final = frozenset(
    {"history_orders_get", "history_deals_get", "history_orders_total", "history_deals_total"}
)


class BadArguments(Exception):
    """The call would be misread or refused; nothing was sent."""


def checked(
    call: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `args` and `kwargs` as the package reads them rightly.

    Raises:
        BadArguments: They cannot be made so.
    """
    if call in _TRADES:
        if len(args) != 1 or kwargs or not isinstance(args[0], dict):
            raise BadArguments(f"{call} takes one request")
        return (trade_request(args[0]),), {}
    if unknown := set(kwargs) - set(_BY_KEYWORD.get(call, {})):
        raise BadArguments(f"{call} does not know {', '.join(sorted(unknown))}")
    if call in _HISTORY:
        _check_dates(call, args, kwargs)
    named = {name: _typed(name, _BY_KEYWORD[call][name], value) for name, value in kwargs.items()}
    return args, named


def trade_request(given: dict[str, Any]) -> dict[str, Any]:
    """Return `given` with each value of the type that the package insists on.

    Raises:
        BadArguments: A key is unknown, so that a misspelt stop cannot be lost; or a value does not
        fit.
    """
    if unknown := [str(name) for name in given if name not in _KINDS]:
        raise BadArguments(f"a trade request has no {', '.join(sorted(unknown))}")
    if "action" not in given:
        raise BadArguments("a trade request needs its action")
    return {name: _typed(name, _KINDS[name], value) for name, value in given.items()}


def _typed(name: str, kind: type, value: Any) -> Any:
    if kind is float:
        return _real(name, value)
    if kind is str:
        if not isinstance(value, str) or len(value) > _longest(name):
            raise BadArguments(f"{name} must be text of at most {_longest(name)} characters")
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise BadArguments(f"{name} must be a whole number of at most 64 bits")
    return value


def _longest(name: str) -> int:
    return 1024 if name == "group" else COMMENT_CHARACTERS


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadArguments(f"{name} must be a number")
    return float(value)


def _check_dates(call: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    by_number = "ticket" in kwargs or "position" in kwargs
    if len(args) != (0 if by_number else 2):
        raise BadArguments(f"{call} takes two dates, or only a ticket or a position")
    for date in args:
        if isinstance(date, bool) or not isinstance(date, int) or not 0 <= date <= _LATEST_S:
            raise BadArguments(f"{call} takes dates as seconds of the broker's clock")
