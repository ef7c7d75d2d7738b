# SPDX-License-Identifier: Apache-2.0
"""How long an order waits. Clients speak UTC; the package wants the broker's wall clock."""

from datetime import UTC, date, datetime
from typing import Final

from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.errors import BadBody, BrokenLimit, BrokerTimeUnknown
from mt5_sidecar.orders.rules.modes import INVALID_EXPIRATION

DATE_LENGTH: Final = len("2026-11-30")
# Source: MT5.md 3.5: dates are cut to 32 bits.
LAST_S: Final = 2**31 - 1
DAY_S: Final = 86_400
# No clock on earth is further behind: a day that is over there is over everywhere.
LATEST_ZONE_S: Final = -12 * 3600


def expiration(text: str | None, *, utc_offset_s: int | None, now_s: int) -> tuple[int, int]:
    """Return ORDER_TIME_ and the moment in broker seconds (0: none).

    `gtc` (default) and `day`; a date: to the end of that broker day; a time: that moment.

    Raises:
        BadBody: It is none of these.
        BrokenLimit: `expiration`: it is over.
        BrokerTimeUnknown: A moment, and the broker's offset is not known yet.
    """
    match text:
        case None | "gtc":
            return mt5.ORDER_TIME_GTC, 0
        case "day":
            return mt5.ORDER_TIME_DAY, 0
        case _ if len(text) == DATE_LENGTH:
            return mt5.ORDER_TIME_SPECIFIED_DAY, _day_s(text, utc_offset_s, now_s)
        case _:
            return mt5.ORDER_TIME_SPECIFIED, _moment_s(text, utc_offset_s, now_s)


def _day_s(text: str, utc_offset_s: int | None, now_s: int) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise _bad(text) from error
    begins_s = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    offset_s = LATEST_ZONE_S if utc_offset_s is None else utc_offset_s
    return _bounded(text, begins_s, left_s=begins_s + DAY_S - offset_s - now_s)


def _moment_s(text: str, utc_offset_s: int | None, now_s: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad(text) from error
    if moment.tzinfo is None:
        raise _bad(text)
    if utc_offset_s is None:
        raise BrokerTimeUnknown("the broker's clock is not known yet; `gtc` and `day` work")
    utc_s = int(moment.timestamp())
    return _bounded(text, utc_s + utc_offset_s, left_s=utc_s - now_s)


def _bounded(text: str, seconds: int, *, left_s: int) -> int:
    if not 0 < seconds <= LAST_S:
        raise _bad(text)
    if left_s <= 0:
        raise BrokenLimit(
            "expiration", value=text, allowed="a time to come", retcode=INVALID_EXPIRATION
        )
    return seconds


def _bad(text: str) -> BadBody:
    return BadBody(
        f"expiration {text!r} is not gtc, day, a date, or a time with its zone",
        field="expiration",
    )
