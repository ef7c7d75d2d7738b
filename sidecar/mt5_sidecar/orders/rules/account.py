# SPDX-License-Identifier: Apache-2.0
"""The account's own limits, from `account.json`. Off until asked for."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.errors import TradingDisabled
from mt5_sidecar.orders.errors import OverLimit, TooManyOrders

MINUTE_MS = 60_000


def check_enabled(trading: Trading) -> None:
    """Let pass anything at all.

    Raises:
        TradingDisabled: `spec.trading.enabled` is not true.
    """
    if trading.enabled is not True:
        raise TradingDisabled("trading is off for this account: spec.trading.enabled is false")


def check_new_order(symbol: str, volume: Decimal, trading: Trading) -> None:
    """Let pass a new order that the account may have.

    Raises:
        OverLimit: `symbols` or `maxVolume`.
    """
    if trading.symbols is not None and symbol not in trading.symbols:
        allowed = ", ".join(trading.symbols) or "none"
        raise OverLimit(f"{symbol} may not be traded here; {allowed} may", limit="symbols")
    most = max_volume(trading)
    if most is not None and volume > most:
        raise OverLimit(f"{volume} lots are more than {most}", limit="maxVolume")


def check_rate(earlier_ms: Sequence[int], *, now_ms: int, trading: Trading) -> None:
    """Let pass a new order while fewer than the limit were made within the last minute.

    Raises:
        TooManyOrders: `ordersPerMinute` is used up; `retry_after_s` says for how long.
    """
    if trading.orders_per_minute is None:
        return
    # Of a time to come: the clock was set back, and they would count until it is there again.
    recent = sorted(ms for ms in earlier_ms if now_ms - MINUTE_MS < ms <= now_ms)
    if len(recent) >= trading.orders_per_minute:
        oldest = recent[-trading.orders_per_minute] if trading.orders_per_minute else now_ms
        raise TooManyOrders(
            f"{trading.orders_per_minute} orders a minute are allowed",
            limit="ordersPerMinute",
            retry_after_s=max(1, -(-(oldest + MINUTE_MS - now_ms) // 1000)),
        )


def max_volume(trading: Trading) -> Decimal | None:
    """Return the largest order in lots; 0, and so no order, where the limit cannot be read."""
    if trading.max_volume is None:
        return None
    try:
        most = Decimal(str(trading.max_volume))
    except InvalidOperation:
        return Decimal(0)
    return most if most.is_finite() else Decimal(0)
