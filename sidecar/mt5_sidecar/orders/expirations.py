# SPDX-License-Identifier: Apache-2.0
"""How long an order waits. Clients speak UTC; the package wants the broker's wall clock."""

from datetime import UTC, date, datetime
from typing import Final

from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.errors import BadBody, BrokerTimeUnknown

DATE_LENGTH: Final = len("2026-11-30")
# Source: MT5.md 3.5: dates are cut to 32 bits.
LAST_S: Final = 2**31 - 1


def expiration(text: str | None, *, utc_offset_s: int | None) -> tuple[int, int]:
    """Return ORDER_TIME_ and the moment in broker seconds (0: none).

    `gtc` (default) and `day`; a date: to the end of that broker day; a time: that moment.

    Raises:
        BadBody: It is none of these.
        BrokerTimeUnknown: A moment, and the broker's offset is not known yet.
    """
    match text:
        case None | "gtc":
            return mt5.ORDER_TIME_GTC, 0
        case "day":
            return mt5.ORDER_TIME_DAY, 0
        case _ if len(text) == DATE_LENGTH:
            return mt5.ORDER_TIME_SPECIFIED_DAY, _day_s(text)
        case _:
            return mt5.ORDER_TIME_SPECIFIED, _moment_s(text, utc_offset_s)


def _day_s(text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise _bad(text) from error
    return _bounded(text, int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))


def _moment_s(text: str, utc_offset_s: int | None) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad(text) from error
    if moment.tzinfo is None:
        raise _bad(text)
    if utc_offset_s is None:
        raise BrokerTimeUnknown("the broker's clock is not known yet; `gtc` and `day` work")
    return _bounded(text, int(moment.timestamp()) + utc_offset_s)


def _bounded(text: str, seconds: int) -> int:
    if not 0 < seconds <= LAST_S:
        raise _bad(text)
    return seconds


def _bad(text: str) -> BadBody:
    return BadBody(
        f"expiration {text!r} is not gtc, day, a date, or a time with its zone",
        field="expiration",
    )
