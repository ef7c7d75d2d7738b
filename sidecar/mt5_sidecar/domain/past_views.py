# SPDX-License-Identifier: Apache-2.0
"""What clients see of the past: deals, finished orders, bars. As `views`, for history."""

from typing import Any, Final

import msgspec

from mt5_agent.protocol import Deal, Order
from mt5_sidecar.domain import views
from mt5_sidecar.domain.clock import broker_time_iso
from mt5_sidecar.domain.contract import Contract
from mt5_sidecar.domain.names import DEAL_ENTRIES, DEAL_TYPES, name_of
from mt5_sidecar.domain.numbers import Number, fixed

Columns = dict[str, list[float]]


class DealView(msgspec.Struct, frozen=True):
    """A deal; `profit`, `commission`, `swap` and `fee` in the account's currency."""

    ticket: int
    order: int
    position_id: int
    symbol: str
    type: int
    type_name: str
    entry: int
    entry_name: str
    volume: Number | None
    price: Number | None
    profit: Number | None
    commission: Number | None
    swap: Number | None
    fee: Number | None
    time: str | None
    time_broker_ms: int
    magic: int
    reason: int
    comment: str
    external_id: str


class PastOrderView(views.OrderView, frozen=True):
    """An order that waits no more; `time_done` is when it was filled, cancelled or expired."""

    time_done: str | None
    time_done_broker_ms: int


class BarView(msgspec.Struct, frozen=True):
    """A bar; `time` is its beginning, `spread` in points."""

    time: str | None
    time_broker_ms: int
    open: Number | None
    high: Number | None
    low: Number | None
    close: Number | None
    tick_volume: int
    spread: int
    real_volume: int


_PRICES: Final = ("open", "high", "low", "close")


def deal(d: Deal, contract: Contract, *, money_digits: int, zone_s: int | None) -> DealView:
    """Return a deal as clients see it."""
    return DealView(
        ticket=d.ticket,
        order=d.order,
        position_id=d.position_id,
        symbol=d.symbol,
        type=d.type,
        type_name=name_of(d.type, DEAL_TYPES),
        entry=d.entry,
        entry_name=name_of(d.entry, DEAL_ENTRIES),
        volume=contract.volume(d.volume),
        price=contract.price(d.price),
        profit=fixed(d.profit, money_digits),
        commission=fixed(d.commission, money_digits),
        swap=fixed(d.swap, money_digits),
        fee=fixed(d.fee, money_digits),
        time=broker_time_iso(d.time_msc, zone_s),
        time_broker_ms=d.time_msc,
        magic=d.magic,
        reason=d.reason,
        comment=d.comment,
        external_id=d.external_id,
    )


def past_order(o: Order, contract: Contract, *, zone_s: int | None) -> PastOrderView:
    """Return a finished order as clients see it."""
    return PastOrderView(
        **msgspec.structs.asdict(views.order(o, contract, zone_s=zone_s)),
        time_done=broker_time_iso(o.time_done_msc, zone_s),
        time_done_broker_ms=o.time_done_msc,
    )


def bars(columns: Columns, contract: Contract, *, zone_s: int | None) -> list[BarView]:
    """Return bars as clients see them, oldest first."""
    rows = zip(*columns.values(), strict=True)
    return [_bar(dict(zip(columns, row, strict=True)), contract, zone_s=zone_s) for row in rows]


def _bar(row: dict[str, Any], contract: Contract, *, zone_s: int | None) -> BarView:
    begins_ms = int(row["time"]) * 1000
    return BarView(
        time=broker_time_iso(begins_ms, zone_s),
        time_broker_ms=begins_ms,
        **{name: contract.price(row[name]) for name in _PRICES},
        tick_volume=int(row["tick_volume"]),
        spread=int(row["spread"]),
        real_volume=int(row["real_volume"]),
    )
