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
DEAL_TYPES: Final = (
    "buy",
    "sell",
    "balance",
    "credit",
    "charge",
    "correction",
    "bonus",
    "commission",
    "commission_daily",
    "commission_monthly",
    "commission_agent_daily",
    "commission_agent_monthly",
    "interest",
    "buy_canceled",
    "sell_canceled",
)
DEAL_ENTRIES: Final = ("in", "out", "inout", "out_by")
# Minutes, hours, then weeks and months, each kind with a flag of its own.
TIMEFRAMES: Final = {
    **{f"M{n}": n for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{f"H{n}": n | 0x4000 for n in (1, 2, 3, 4, 6, 8, 12)},
    "D1": 24 | 0x4000,
    "W1": 1 | 0x8000,
    "MN1": 1 | 0xC000,
}


def name_of(value: int, names: Sequence[str]) -> str:
    """Return the name of an enumeration's value; its number where a newer one has no name."""
    return names[value] if 0 <= value < len(names) else str(value)
