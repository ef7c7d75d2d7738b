# SPDX-License-Identifier: Apache-2.0
"""Names of the package's enumerations, as the API writes them. Source: MT5.md 3.6."""

from collections.abc import Sequence
from typing import Final

SIDES: Final = ("buy", "sell")
ORDER_TYPES: Final = (
    "buy",
    "sell",
    "buy_limit",
    "sell_limit",
    "buy_stop",
    "sell_stop",
    "buy_stop_limit",
    "sell_stop_limit",
    "close_by",
)
ORDER_STATES: Final = (
    "started",
    "placed",
    "canceled",
    "partial",
    "filled",
    "rejected",
    "expired",
    "request_add",
    "request_modify",
    "request_cancel",
)


def name_of(value: int, names: Sequence[str]) -> str:
    """Return the name of an enumeration's value; its number where a newer one has no name."""
    return names[value] if 0 <= value < len(names) else str(value)
