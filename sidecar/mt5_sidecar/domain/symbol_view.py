# SPDX-License-Identifier: Apache-2.0
"""A symbol's contract as clients see it: what an order must fit, and the last prices."""

from typing import Any

import msgspec

from mt5_agent.protocol import SymbolInfo
from mt5_sidecar.domain.clock import broker_time_iso
from mt5_sidecar.domain.contract import contract
from mt5_sidecar.domain.numbers import Number, plain

_PRICES = ("bid", "ask", "last", "point", "trade_tick_size")
_VOLUMES = ("volume_min", "volume_max", "volume_step", "volume_limit")
_NUMBERS = ("trade_tick_value", "trade_contract_size", "swap_long", "swap_short")


class SymbolView(msgspec.Struct, frozen=True):
    """Prices have `digits` decimals; volumes are lots; levels are in points.

    `bid` and `ask` are null where there is no price.

    `filling_mode` is a bit set (FOK 1, IOC 2, BOC 4), unlike an order's `type_filling`.
    """

    name: str
    description: str
    path: str
    currency_base: str
    currency_profit: str
    currency_margin: str
    digits: int
    select: bool
    spread: int
    trade_mode: int
    trade_exemode: int
    trade_calc_mode: int
    trade_stops_level: int
    trade_freeze_level: int
    filling_mode: int
    order_mode: int
    expiration_mode: int
    swap_mode: int
    bid: Number | None
    ask: Number | None
    last: Number | None
    point: Number | None
    trade_tick_size: Number | None
    trade_tick_value: Number | None
    trade_contract_size: Number | None
    swap_long: Number | None
    swap_short: Number | None
    volume_min: Number | None
    volume_max: Number | None
    volume_step: Number | None
    volume_limit: Number | None
    time: str | None
    time_broker_ms: int


_COMPUTED = {*_PRICES, *_VOLUMES, *_NUMBERS, "time", "time_broker_ms"}
_PLAIN = tuple(name for name in SymbolView.__struct_fields__ if name not in _COMPUTED)


def symbol(info: SymbolInfo, *, zone_s: int | None) -> SymbolView:
    """Return the symbol as clients see it."""
    written = contract(info)
    fields: dict[str, Any] = {name: getattr(info, name) for name in _PLAIN}
    fields |= {name: written.price(getattr(info, name)) for name in _PRICES}
    # A terminal says 0 where it has none; a client must not take that for a price.
    fields |= {name: None for name in ("bid", "ask") if not getattr(info, name)}
    fields |= {name: written.volume(getattr(info, name)) for name in _VOLUMES}
    fields |= {name: plain(getattr(info, name)) for name in _NUMBERS}
    broker_ms = info.time * 1000
    fields |= {"time": broker_time_iso(broker_ms, zone_s), "time_broker_ms": broker_ms}
    return SymbolView(**fields)
