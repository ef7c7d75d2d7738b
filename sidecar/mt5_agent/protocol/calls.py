# SPDX-License-Identifier: Apache-2.0
"""Which calls of the package a sidecar may ask for, and what goes first."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Priority(IntEnum):
    """Lower goes first: an order never waits behind a history pull."""

    ORDER = 0
    READ = 1
    HISTORY = 2


PRIORITY_OF: Final[Mapping[str, Priority]] = MappingProxyType(
    {
        "order_send": Priority.ORDER,
        "order_check": Priority.ORDER,
        "account_info": Priority.READ,
        "terminal_info": Priority.READ,
        "version": Priority.READ,
        "positions_total": Priority.READ,
        "positions_get": Priority.READ,
        "orders_total": Priority.READ,
        "orders_get": Priority.READ,
        "symbols_total": Priority.READ,
        "symbols_get": Priority.READ,
        "symbol_info": Priority.READ,
        "symbol_info_tick": Priority.READ,
        "symbol_select": Priority.READ,
        "order_calc_margin": Priority.READ,
        "order_calc_profit": Priority.READ,
        "history_orders_total": Priority.HISTORY,
        "history_orders_get": Priority.HISTORY,
        "history_deals_total": Priority.HISTORY,
        "history_deals_get": Priority.HISTORY,
        "copy_rates_from": Priority.HISTORY,
        "copy_rates_from_pos": Priority.HISTORY,
        "copy_rates_range": Priority.HISTORY,
        "copy_ticks_from": Priority.HISTORY,
        "copy_ticks_range": Priority.HISTORY,
    }
)
"""The closed list of calls. `login`, `initialize`, `shutdown` are the agent's own and cannot be
asked for."""


POLLS: Final = frozenset(
    {"account_info", "positions_get", "orders_get", "terminal_info", "ticks", "select"}
)
"""What the agent looks at of its own accord; the last two ask for many symbols at once."""


def is_trading(call: str) -> bool:
    """Tell whether `call` can change the account: its outcome, once sent, must never be guessed."""
    return call == "order_send"
