# SPDX-License-Identifier: Apache-2.0
"""Broker time and UTC.

MetaTrader gives every time as the broker's wall clock written as if it were an epoch. The agent
estimates the zone from ticks that have just moved; until then it is unknown, and so is UTC.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

# 9999-12-31: later ones cannot be written as text.
LATEST_MS: Final = 253_402_300_799_999


def utc_iso(epoch_ms: int) -> str:
    """Return RFC 3339 text with milliseconds and `Z`; of a moment without one, the nearest."""
    epoch_ms = min(max(epoch_ms, 0), LATEST_MS)
    return f"{_second(epoch_ms // 1000)}.{epoch_ms % 1000:03d}Z"


# What happens now happens in the same few seconds.
@lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%S}"


# A position is told of again and again, and when it was opened stays the same.
@lru_cache(maxsize=1024)
def broker_time_iso(raw_ms: int, offset_s: int | None) -> str | None:
    """Return UTC text of a broker time; None where there is no time or no known zone.

    Terminals also say what is no time at all: that is shown raw, and must not spoil the rest.
    """
    if not raw_ms or offset_s is None:
        return None
    epoch_ms = raw_ms - offset_s * 1000
    return utc_iso(epoch_ms) if 0 <= epoch_ms <= LATEST_MS else None


def now_ms() -> int:
    """Return UTC in milliseconds: the default of every `clock` argument."""
    return time.time_ns() // 1_000_000
