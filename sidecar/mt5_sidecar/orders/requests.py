# SPDX-License-Identifier: Apache-2.0
"""MT5 request dicts: all 17 names of TradeRequest and no other, since the package ignores a name
that it does not know, and a misspelt stop would be no stop (MT5.md 3.5)."""

from decimal import Decimal
from typing import Final

from mt5_sidecar.orders.records import MtRequest

EMPTY: Final[MtRequest] = {
    "action": 0,
    "magic": 0,
    "order": 0,
    "symbol": "",
    "volume": 0.0,
    "price": 0.0,
    "stoplimit": 0.0,
    "sl": 0.0,
    "tp": 0.0,
    "deviation": 0,
    "type": 0,
    "type_filling": 0,
    "type_time": 0,
    "expiration": 0,
    "comment": "",
    "position": 0,
    "position_by": 0,
}


def request(**fields: int | str | Decimal) -> MtRequest:
    """Return a whole request: decimals become the floats that the package insists on.

    Raises:
        KeyError: A name is not one of the 17.
    """
    filled = dict(EMPTY)
    for name, value in fields.items():
        filled[name] = type(EMPTY[name])(value)
    return filled
