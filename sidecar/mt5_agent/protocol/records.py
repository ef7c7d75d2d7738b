# SPDX-License-Identifier: Apache-2.0
"""The package's structs as arrays on the wire, in the package's field order.

Times are the broker's wall clock written as if it were an epoch: subtract `State.utc_offset_s` for
UTC. Source: the MetaTrader5 5.0.6231 wheel; tests/contract compares these fields with its
inventory.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What every record has in common: an array, to which a later package may append."""


class AccountInfo(Record, frozen=True):
    """The account: money in its own currency."""

    login: int
    trade_mode: int
    leverage: int
    limit_orders: int
    margin_so_mode: int
    trade_allowed: bool
    trade_expert: bool
    margin_mode: int
    currency_digits: int
    fifo_close: bool
    balance: float
    credit: float
    profit: float
    equity: float
    margin: float
    margin_free: float
    margin_level: float
    margin_so_call: float
    margin_so_so: float
    margin_initial: float
    margin_maintenance: float
    assets: float
    liabilities: float
    commission_blocked: float
    name: str
    server: str
    currency: str
    company: str


class TerminalInfo(Record, frozen=True):
    """The terminal; `ping_last` in microseconds."""

    community_account: bool
    community_connection: bool
    connected: bool
    dlls_allowed: bool
    trade_allowed: bool
    tradeapi_disabled: bool
    email_enabled: bool
    ftp_enabled: bool
    notifications_enabled: bool
    mqid: bool
    build: int
    maxbars: int
    codepage: int
    ping_last: int
    community_balance: float
    retransmission: float
    company: str
    name: str
    language: str
    path: str
    data_path: str
    commondata_path: str


class SymbolInfo(Record, frozen=True):
    """A symbol's contract and its last prices."""

    custom: bool
    chart_mode: int
    select: bool
    visible: bool
    session_deals: int
    session_buy_orders: int
    session_sell_orders: int
    volume: int
    volumehigh: int
    volumelow: int
    time: int
    digits: int
    spread: int
    spread_float: bool
    ticks_bookdepth: int
    trade_calc_mode: int
    trade_mode: int
    start_time: int
    expiration_time: int
    trade_stops_level: int
    trade_freeze_level: int
    trade_exemode: int
    swap_mode: int
    swap_rollover3days: int
    margin_hedged_use_leg: bool
    expiration_mode: int
    filling_mode: int
    order_mode: int
    order_gtc_mode: int
    option_mode: int
    option_right: int
    bid: float
    bidhigh: float
    bidlow: float
    ask: float
    askhigh: float
    asklow: float
    last: float
    lasthigh: float
    lastlow: float
    volume_real: float
    volumehigh_real: float
    volumelow_real: float
    option_strike: float
    point: float
    trade_tick_value: float
    trade_tick_value_profit: float
    trade_tick_value_loss: float
    trade_tick_size: float
    trade_contract_size: float
    trade_accrued_interest: float
    trade_face_value: float
    trade_liquidity_rate: float
    volume_min: float
    volume_max: float
    volume_step: float
    volume_limit: float
    swap_long: float
    swap_short: float
    margin_initial: float
    margin_maintenance: float
    session_volume: float
    session_turnover: float
    session_interest: float
    session_buy_orders_volume: float
    session_sell_orders_volume: float
    session_open: float
    session_close: float
    session_aw: float
    session_price_settlement: float
    session_price_limit_min: float
    session_price_limit_max: float
    margin_hedged: float
    price_change: float
    price_volatility: float
    price_theoretical: float
    price_greeks_delta: float
    price_greeks_theta: float
    price_greeks_gamma: float
    price_greeks_vega: float
    price_greeks_rho: float
    price_greeks_omega: float
    price_sensitivity: float
    basis: str
    category: str
    currency_base: str
    currency_profit: str
    currency_margin: str
    bank: str
    description: str
    exchange: str
    formula: str
    isin: str
    name: str
    page: str
    path: str


class Tick(Record, frozen=True):
    """Last prices of a symbol; `time` in seconds and `time_msc` in milliseconds of the broker's
    clock."""

    time: int
    bid: float
    ask: float
    last: float
    volume: int
    time_msc: int
    flags: int
    volume_real: float


class Position(Record, frozen=True):
    """An open position."""

    ticket: int
    time: int
    time_msc: int
    time_update: int
    time_update_msc: int
    type: int
    magic: int
    identifier: int
    reason: int
    volume: float
    price_open: float
    sl: float
    tp: float
    price_current: float
    swap: float
    profit: float
    symbol: str
    comment: str
    external_id: str


class Order(Record, frozen=True):
    """A pending order, or one of history."""

    ticket: int
    time_setup: int
    time_setup_msc: int
    time_done: int
    time_done_msc: int
    time_expiration: int
    type: int
    type_time: int
    type_filling: int
    state: int
    magic: int
    position_id: int
    position_by_id: int
    reason: int
    volume_initial: float
    volume_current: float
    price_open: float
    sl: float
    tp: float
    price_current: float
    price_stoplimit: float
    symbol: str
    comment: str
    external_id: str


class Deal(Record, frozen=True):
    """A deal of history."""

    ticket: int
    order: int
    time: int
    time_msc: int
    type: int
    entry: int
    magic: int
    position_id: int
    reason: int
    volume: float
    price: float
    commission: float
    swap: float
    profit: float
    fee: float
    symbol: str
    comment: str
    external_id: str


class TradeRequest(Record, frozen=True):
    """What was asked of the broker."""

    action: int
    magic: int
    order: int
    symbol: str
    volume: float
    price: float
    stoplimit: float
    sl: float
    tp: float
    deviation: int
    type: int
    type_filling: int
    type_time: int
    expiration: int
    comment: str
    position: int
    position_by: int


class OrderSendResult(Record, frozen=True):
    """The broker's answer to a request."""

    retcode: int
    deal: int
    order: int
    volume: float
    price: float
    bid: float
    ask: float
    comment: str
    request_id: int
    retcode_external: int
    request: TradeRequest


class OrderCheckResult(Record, frozen=True):
    """The terminal's opinion of a request that was not sent."""

    retcode: int
    balance: float
    equity: float
    profit: float
    margin: float
    margin_free: float
    margin_level: float
    comment: str
    request: TradeRequest


RESULT_TYPES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "order_send": OrderSendResult,
        "order_check": OrderCheckResult,
        "account_info": AccountInfo,
        "terminal_info": TerminalInfo,
        "version": tuple[int, int, str],
        "positions_total": int,
        "positions_get": list[Position],
        "orders_total": int,
        "orders_get": list[Order],
        "symbols_total": int,
        "symbols_get": list[SymbolInfo],
        "symbol_info": SymbolInfo,
        "symbol_info_tick": Tick,
        "symbol_select": bool,
        "order_calc_margin": float,
        "order_calc_profit": float,
        "history_orders_total": int,
        "history_orders_get": list[Order],
        "history_deals_total": int,
        "history_deals_get": list[Deal],
        "copy_rates_from": dict[str, list[float]],
        "copy_rates_from_pos": dict[str, list[float]],
        "copy_rates_range": dict[str, list[float]],
        "copy_ticks_from": dict[str, list[float]],
        "copy_ticks_range": dict[str, list[float]],
    }
)
"""What an `Answer` to each call holds. Arrays of numpy are columns by name."""
