# SPDX-License-Identifier: Apache-2.0
"""The package's return structs: tuples with named fields and `_asdict()`, in the package's order.

Source: PyStructSequence_Desc tables of the MetaTrader5 5.0.6231 wheel (MT5.md 3.3).
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self, TypeVar


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


class Struct(tuple[Any, ...]):
    """A tuple whose places have names, as CPython's struct sequences are."""

    __slots__ = ()
    fields: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, values: Sequence[Any]) -> Self:
        """Take exactly one value per field."""
        made = super().__new__(cls, values)
        if len(made) != len(cls.fields):
            raise TypeError(
                f"{cls.__name__}() takes a {len(cls.fields)}-sequence ({len(made)} given)"
            )
        return made

    def __getattr__(self, name: str) -> Any:
        """Return the field called `name`."""
        try:
            return self[type(self).fields.index(name)]
        except ValueError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            ) from None

    def __repr__(self) -> str:
        """Show fields by name."""
        shown = ", ".join(
            f"{name}={value!r}" for name, value in zip(self.fields, self, strict=True)
        )
        return f"{type(self).__name__}({shown})"

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self.fields, self, strict=True))


S = TypeVar("S", bound=Struct)


class AccountInfo(Struct):
    """28 fields."""

    __slots__ = ()
    fields = _names(
        """
        login trade_mode leverage limit_orders margin_so_mode trade_allowed trade_expert
        margin_mode currency_digits fifo_close balance credit profit equity margin margin_free
        margin_level margin_so_call margin_so_so margin_initial margin_maintenance assets
        liabilities commission_blocked name server currency company
        """
    )


class TerminalInfo(Struct):
    """22 fields."""

    __slots__ = ()
    fields = _names(
        """
        community_account community_connection connected dlls_allowed trade_allowed
        tradeapi_disabled email_enabled ftp_enabled notifications_enabled mqid build maxbars
        codepage ping_last community_balance retransmission company name language path data_path
        commondata_path
        """
    )


class SymbolInfo(Struct):
    """96 fields."""

    __slots__ = ()
    fields = _names(
        """
        custom chart_mode select visible session_deals session_buy_orders session_sell_orders
        volume volumehigh volumelow time digits spread spread_float ticks_bookdepth
        trade_calc_mode trade_mode start_time expiration_time trade_stops_level
        trade_freeze_level trade_exemode swap_mode swap_rollover3days margin_hedged_use_leg
        expiration_mode filling_mode order_mode order_gtc_mode option_mode option_right bid
        bidhigh bidlow ask askhigh asklow last lasthigh lastlow volume_real volumehigh_real
        volumelow_real option_strike point trade_tick_value trade_tick_value_profit
        trade_tick_value_loss trade_tick_size trade_contract_size trade_accrued_interest
        trade_face_value trade_liquidity_rate volume_min volume_max volume_step volume_limit
        swap_long swap_short margin_initial margin_maintenance session_volume session_turnover
        session_interest session_buy_orders_volume session_sell_orders_volume session_open
        session_close session_aw session_price_settlement session_price_limit_min
        session_price_limit_max margin_hedged price_change price_volatility price_theoretical
        price_greeks_delta price_greeks_theta price_greeks_gamma price_greeks_vega
        price_greeks_rho price_greeks_omega price_sensitivity basis category currency_base
        currency_profit currency_margin bank description exchange formula isin name page path
        """
    )


class Tick(Struct):
    """8 fields."""

    __slots__ = ()
    fields = _names(
        """
        time bid ask last volume time_msc flags volume_real
        """
    )


class BookInfo(Struct):
    """4 fields."""

    __slots__ = ()
    fields = _names(
        """
        type price volume volume_dbl
        """
    )


class TradePosition(Struct):
    """19 fields."""

    __slots__ = ()
    fields = _names(
        """
        ticket time time_msc time_update time_update_msc type magic identifier reason volume
        price_open sl tp price_current swap profit symbol comment external_id
        """
    )


class TradeOrder(Struct):
    """24 fields."""

    __slots__ = ()
    fields = _names(
        """
        ticket time_setup time_setup_msc time_done time_done_msc time_expiration type type_time
        type_filling state magic position_id position_by_id reason volume_initial volume_current
        price_open sl tp price_current price_stoplimit symbol comment external_id
        """
    )


class TradeDeal(Struct):
    """18 fields."""

    __slots__ = ()
    fields = _names(
        """
        ticket order time time_msc type entry magic position_id reason volume price commission
        swap profit fee symbol comment external_id
        """
    )


class TradeRequest(Struct):
    """17 fields."""

    __slots__ = ()
    fields = _names(
        """
        action magic order symbol volume price stoplimit sl tp deviation type type_filling
        type_time expiration comment position position_by
        """
    )


class OrderSendResult(Struct):
    """11 fields."""

    __slots__ = ()
    fields = _names(
        """
        retcode deal order volume price bid ask comment request_id retcode_external request
        """
    )


class OrderCheckResult(Struct):
    """9 fields."""

    __slots__ = ()
    fields = _names(
        """
        retcode balance equity profit margin margin_free margin_level comment request
        """
    )


STRUCTS: Final[tuple[type[Struct], ...]] = (
    AccountInfo,
    TerminalInfo,
    SymbolInfo,
    Tick,
    BookInfo,
    TradePosition,
    TradeOrder,
    TradeDeal,
    TradeRequest,
    OrderSendResult,
    OrderCheckResult,
)
"""All of them, for the contract test."""


def one(kind: type[S], row: Sequence[Any] | None) -> S | None:
    """Return a row as a struct; None stays None."""
    return None if row is None else kind(row)


def many(kind: type[S], rows: Sequence[Sequence[Any]] | None) -> tuple[S, ...] | None:
    """Return rows as structs; None stays None."""
    return None if rows is None else tuple(kind(row) for row in rows)
