# SPDX-License-Identifier: Apache-2.0
"""Broker time and UTC.

MetaTrader gives every time as the broker's wall clock written as if it were an epoch. The agent
estimates the zone from ticks that have just moved; until then it is unknown, and so is UTC.
"""

import time
from datetime import UTC, datetime


def utc_iso(epoch_ms: int) -> str:
    """Return RFC 3339 text with milliseconds and `Z`."""
    moment = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


def broker_time_iso(raw_ms: int, offset_s: int | None) -> str | None:
    """Return UTC text of a broker time; None where there is no time or no known zone."""
    if not raw_ms or offset_s is None:
        return None
    return utc_iso(raw_ms - offset_s * 1000)


def now_ms() -> int:
    """Return UTC in milliseconds: the default of every `clock` argument."""
    return time.time_ns() // 1_000_000
