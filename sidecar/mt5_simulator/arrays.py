# SPDX-License-Identifier: Apache-2.0
"""Bars and ticks as the package gives them: packed numpy records of 60 bytes (MT5.md 3.3).

numpy is imported at the first such call: it costs 25 MB, which most accounts never need.
"""

from collections.abc import Sequence
from typing import Any, Final

RATES: Final = [
    ("time", "<i8"),
    ("open", "<f8"),
    ("high", "<f8"),
    ("low", "<f8"),
    ("close", "<f8"),
    ("tick_volume", "<u8"),
    ("spread", "<i4"),
    ("real_volume", "<u8"),
]
TICKS: Final = [
    ("time", "<i8"),
    ("bid", "<f8"),
    ("ask", "<f8"),
    ("last", "<f8"),
    ("volume", "<u8"),
    ("time_msc", "<i8"),
    ("flags", "<u4"),
    ("volume_real", "<f8"),
]


def array(rows: Sequence[Sequence[Any]] | None, fields: list[tuple[str, str]]) -> Any:
    """Return `rows` as an array of `fields`; None stays None."""
    if rows is None:
        return None
    import numpy as np

    return np.array([tuple(row) for row in rows], dtype=fields)
