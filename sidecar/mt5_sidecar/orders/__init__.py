# SPDX-License-Identifier: Apache-2.0
"""Orders: at most once, outcome always discoverable. No HTTP here; `docs/orders.md` tells it all.

The way in is `OrderDesk.submit(key, Ask(...))`.
"""

from mt5_sidecar.orders.bodies import (
    Ask,
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
    parse,
)
from mt5_sidecar.orders.desk import OrderDesk
from mt5_sidecar.orders.journal import Journal, Store
from mt5_sidecar.orders.outcomes import Outcome
from mt5_sidecar.orders.settings import OrderSettings

__all__ = [
    "Ask",
    "CancelOrder",
    "CloseBy",
    "ClosePosition",
    "Journal",
    "ModifyOrder",
    "ModifyPosition",
    "NewOrder",
    "OrderDesk",
    "OrderSettings",
    "Outcome",
    "Store",
    "parse",
]
