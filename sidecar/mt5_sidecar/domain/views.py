# SPDX-License-Identifier: Apache-2.0
"""What clients see of an account: the types that are encoded, and that OpenAPI shows.

Money has the digits of the account's currency, prices and volumes those of their symbol. A time
is UTC text, null while the broker's zone is unknown; `..._broker_ms` is the raw broker clock.
"""

from typing import Any

import msgspec

from mt5_agent.protocol import AccountInfo, Order, Position, Tick
from mt5_sidecar.domain.clock import broker_time_iso
from mt5_sidecar.domain.contract import Contract
from mt5_sidecar.domain.names import ORDER_STATES, ORDER_TYPES, SIDES, name_of
from mt5_sidecar.domain.numbers import Number, fixed


class Account(msgspec.Struct, frozen=True):
    """The account; money in `currency`, `margin_level` in percent (null without positions)."""

    login: int
    name: str
    server: str
    currency: str
    company: str
    currency_digits: int
    trade_mode: int
    leverage: int
    limit_orders: int
    margin_so_mode: int
    trade_allowed: bool
    trade_expert: bool
    margin_mode: int
    fifo_close: bool
    balance: Number | None
    credit: Number | None
    profit: Number | None
    equity: Number | None
    margin: Number | None
    margin_free: Number | None
    margin_level: Number | None
    margin_so_call: Number | None
    margin_so_so: Number | None
    margin_initial: Number | None
    margin_maintenance: Number | None
    assets: Number | None
    liabilities: Number | None
    commission_blocked: Number | None


class PositionView(msgspec.Struct, frozen=True):
    """An open position; `swap` and `profit` in the account's currency."""

    ticket: int
    symbol: str
    side: str
    type: int
    volume: Number | None
    price_open: Number | None
    price_current: Number | None
    sl: Number | None
    tp: Number | None
    swap: Number | None
    profit: Number | None
    time: str | None
    time_broker_ms: int
    time_update: str | None
    time_update_broker_ms: int
    magic: int
    identifier: int
    reason: int
    comment: str
    external_id: str


class OrderView(msgspec.Struct, frozen=True):
    """A pending order."""

    ticket: int
    symbol: str
    type: int
    type_name: str
    state: int
    state_name: str
    volume_initial: Number | None
    volume_current: Number | None
    price_open: Number | None
    price_current: Number | None
    price_stoplimit: Number | None
    sl: Number | None
    tp: Number | None
    time_setup: str | None
    time_setup_broker_ms: int
    time_expiration: str | None
    time_expiration_broker_ms: int
    type_time: int
    type_filling: int
    reason: int
    magic: int
    position_id: int
    position_by_id: int
    comment: str
    external_id: str


class TickView(msgspec.Struct, frozen=True):
    """Last prices of a symbol."""

    symbol: str
    bid: Number | None
    ask: Number | None
    last: Number | None
    volume: int
    volume_real: Number | None
    flags: int
    time: str | None
    time_broker_ms: int


_MONEY = tuple(
    name
    for name in Account.__struct_fields__
    if name in AccountInfo.__annotations__ and AccountInfo.__annotations__[name] is float
)
_PLAIN = tuple(name for name in Account.__struct_fields__ if name not in _MONEY)


def account(info: AccountInfo) -> Account:
    """Return the account as clients see it."""
    digits = info.currency_digits
    fields: dict[str, Any] = {name: getattr(info, name) for name in _PLAIN}
    fields |= {name: fixed(getattr(info, name), digits) for name in _MONEY}
    return Account(**fields)


def position(
    p: Position, contract: Contract, *, money_digits: int, zone_s: int | None
) -> PositionView:
    """Return a position as clients see it."""
    return PositionView(
        ticket=p.ticket,
        symbol=p.symbol,
        side=name_of(p.type, SIDES),
        type=p.type,
        volume=contract.volume(p.volume),
        price_open=contract.price(p.price_open),
        price_current=contract.price(p.price_current),
        sl=contract.price(p.sl),
        tp=contract.price(p.tp),
        swap=fixed(p.swap, money_digits),
        profit=fixed(p.profit, money_digits),
        time=broker_time_iso(p.time_msc, zone_s),
        time_broker_ms=p.time_msc,
        time_update=broker_time_iso(p.time_update_msc, zone_s),
        time_update_broker_ms=p.time_update_msc,
        magic=p.magic,
        identifier=p.identifier,
        reason=p.reason,
        comment=p.comment,
        external_id=p.external_id,
    )


def order(o: Order, contract: Contract, *, zone_s: int | None) -> OrderView:
    """Return a pending order as clients see it."""
    return OrderView(
        ticket=o.ticket,
        symbol=o.symbol,
        type=o.type,
        type_name=name_of(o.type, ORDER_TYPES),
        state=o.state,
        state_name=name_of(o.state, ORDER_STATES),
        volume_initial=contract.volume(o.volume_initial),
        volume_current=contract.volume(o.volume_current),
        price_open=contract.price(o.price_open),
        price_current=contract.price(o.price_current),
        price_stoplimit=contract.price(o.price_stoplimit),
        sl=contract.price(o.sl),
        tp=contract.price(o.tp),
        time_setup=broker_time_iso(o.time_setup_msc, zone_s),
        time_setup_broker_ms=o.time_setup_msc,
        time_expiration=broker_time_iso(o.time_expiration * 1000, zone_s),
        time_expiration_broker_ms=o.time_expiration * 1000,
        type_time=o.type_time,
        type_filling=o.type_filling,
        reason=o.reason,
        magic=o.magic,
        position_id=o.position_id,
        position_by_id=o.position_by_id,
        comment=o.comment,
        external_id=o.external_id,
    )


def tick(symbol: str, t: Tick, contract: Contract, *, zone_s: int | None) -> TickView:
    """Return a symbol's prices as clients see them."""
    return TickView(
        symbol=symbol,
        bid=contract.price(t.bid),
        ask=contract.price(t.ask),
        last=contract.price(t.last),
        volume=t.volume,
        volume_real=contract.volume(t.volume_real),
        flags=t.flags,
        time=broker_time_iso(t.time_msc, zone_s),
        time_broker_ms=t.time_msc,
    )
