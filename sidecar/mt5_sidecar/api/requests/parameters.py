# SPDX-License-Identifier: Apache-2.0
"""Parameters of the query: numbers within bounds, and moments of UTC."""

from datetime import datetime

from aiohttp import web

from mt5_sidecar.api.requests.middleware import ACCOUNT_FIELD, parameters
from mt5_sidecar.errors import InvalidRequest

# 9999-12-31: later ones cannot be written as text.
LATEST_S = 253_402_300_799


def whole(request: web.Request, name: str, *, default: int, least: int = 1, most: int) -> int:
    """Return a whole number of the query.

    Raises:
        InvalidRequest: It is none, or out of bounds.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and least <= int(text) <= most):
        raise InvalidRequest(f"{name} is a whole number of {least} to {most}")
    return int(text)


def moment_s(request: web.Request, name: str) -> int | None:
    """Return a moment of the query in seconds of UTC: RFC 3339 with a zone, or epoch seconds.

    Raises:
        InvalidRequest: It is neither.
    """
    text = request.query.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 12:
        seconds = int(text)
    else:
        seconds = _parsed(name, text)
    if not 0 <= seconds <= LATEST_S:
        raise InvalidRequest(f"{name} is out of range")
    return seconds


def _parsed(name: str, text: str) -> int:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(f"{name} is a time like 2026-11-21T10:00:00Z, or seconds")
    return int(moment.timestamp())


def demand_declared(request: web.Request, names: tuple[str, ...]) -> None:
    """Return if the query has nothing but `names` and the account, each once.

    Passed over, `?Volume=0.01` would close all of a position, and `/api/positions?symbol=EURUSD` be
    answered with those of all symbols.

    Raises:
        InvalidRequest: It has something else, or something twice.
    """
    known = (*names, ACCOUNT_FIELD)
    for name in parameters(request):
        if name not in known:
            raise InvalidRequest(f"no such parameter here: {name[:64]!r}", parameters=known)
        if len(request.query.getall(name)) > 1:
            raise InvalidRequest(f"{name} is in the query more than once")
