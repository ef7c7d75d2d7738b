# SPDX-License-Identifier: Apache-2.0
"""The package's structs, with zeros for what does not matter."""

from typing import Any, TypeVar

from mt5_agent.protocol import (
    AccountInfo,
    Deal,
    Order,
    OrderSendResult,
    Position,
    SymbolInfo,
    TradeRequest,
)

T = TypeVar("T")
_ZEROS = {bool: False, int: 0, float: 0.0, str: ""}


def made(kind: type[T], **fields: Any) -> T:
    """Return a struct of `kind`."""
    zeros = {n: _ZEROS.get(t) for n, t in kind.__annotations__.items() if n not in fields}
    return kind(**zeros, **fields)


def symbol_info(name: str = "EURUSD", **fields: Any) -> SymbolInfo:
    """Return a usual forex symbol, 5 digits, bid 1.10000 and ask 1.10010."""
    usual: dict[str, Any] = {
        "name": name, "select": True, "visible": True, "digits": 5, "point": 0.00001,
        "trade_tick_size": 0.00001, "volume_min": 0.01, "volume_max": 100.0, "volume_step": 0.01,
        "trade_mode": 4, "trade_exemode": 2, "order_mode": 127, "filling_mode": 3,
        "expiration_mode": 15, "bid": 1.1, "ask": 1.1001,
    }  # fmt: skip
    return made(SymbolInfo, **{**usual, **fields})


def account_info(*, hedging: bool = True) -> AccountInfo:
    """Return an account."""
    return made(AccountInfo, login=1, margin_mode=2 if hedging else 0)


def send_result(retcode: int, **fields: Any) -> OrderSendResult:
    """Return an answer to order_send."""
    return made(OrderSendResult, retcode=retcode, request=made(TradeRequest), **fields)


__all__ = [
    "Deal",
    "Order",
    "OrderSendResult",
    "Position",
    "account_info",
    "made",
    "send_result",
    "symbol_info",
]
