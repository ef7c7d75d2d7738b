# SPDX-License-Identifier: Apache-2.0
"""The functions of the MetaTrader5 package, with its names, positions and answers.

`import mt5_simulator as mt5` stands for `import MetaTrader5 as mt5`. Lines marked "C" follow the
package's argument parser: positional-only or keyword where it is so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from mt5_simulator import structs
from mt5_simulator.arguments import DEFAULT_TIMEOUT_MS, BadArgument, period, trade_request
from mt5_simulator.client import Connection

S = TypeVar("S", bound=structs.Struct)

_connection: Final = Connection()


def initialize(
    path: str = "",
    *,
    login: int = 0,
    password: str = "",
    server: str = "",
    timeout: int = DEFAULT_TIMEOUT_MS,
    **_ignored: Any,
) -> bool:
    """Attach to the terminal whose program is `path`, and log in if asked to."""
    if not path:
        _connection.fail(-10003, "IPC initialize failed, MetaTrader 5 x64 not found")
        return False
    if not _connection.open(Path(path).parent):
        return False
    if login or password or server:
        ready = _connection.login(login, server, password, timeout)
    else:
        ready = _connection.wait(timeout)
    if not ready:
        _connection.close()  # any later call answers -10004 and hides this error (MT5.md 3.4)
    return ready


def login(
    login: int,
    password: str = "",
    server: str = "",
    timeout: int = DEFAULT_TIMEOUT_MS,
    **_ignored: Any,
) -> bool:
    """Log the attached terminal in to another account."""
    return _connection.login(login, server, password, timeout)


def shutdown() -> bool:
    """Detach; the terminal goes on."""
    _connection.close()
    return True


def last_error() -> tuple[int, str]:
    """Return code and text of the last call."""
    return _connection.error


def version() -> tuple[int, int, str]:
    """Return 500, the terminal's build and its date; zeros when there is no terminal."""
    answer = _connection.call("version")
    return (0, 0, "") if answer is None else (answer[0], answer[1], answer[2])


def terminal_info() -> structs.TerminalInfo | None:
    """Return the terminal's state."""
    return _one(structs.TerminalInfo, _connection.call("terminal_info"))


def account_info() -> structs.AccountInfo | None:
    """Return the account."""
    return _one(structs.AccountInfo, _connection.call("account_info"))


def symbols_total() -> int | None:
    """Return how many symbols the server has."""
    found: int | None = _unsupported_when_detached(_connection.call("symbols_total"))
    return found


def symbols_get(group: str = "", **_ignored: Any) -> tuple[structs.SymbolInfo, ...] | None:
    """Return the symbols of `group`."""
    found = _unsupported_when_detached(_connection.call("symbols_get", group))
    return _many(structs.SymbolInfo, found)


def symbol_info(symbol: str, /) -> structs.SymbolInfo | None:
    """Return one symbol."""
    return _one(structs.SymbolInfo, _connection.call("symbol_info", symbol))


def symbol_info_tick(symbol: str, /) -> structs.Tick | None:
    """Return a symbol's last tick."""
    return _one(structs.Tick, _connection.call("symbol_info_tick", symbol))


def symbol_select(symbol: str, enable: bool = True, /) -> bool:  # noqa: FBT001, FBT002  (C)
    """Put a symbol into Market Watch, or take it out."""
    return bool(_connection.call("symbol_select", symbol, enable))


def positions_total() -> int | None:
    """Return how many positions are open."""
    found = _connection.call("positions_get", "", 0, "")
    return None if found is None else len(found)


def positions_get(
    *, symbol: str = "", ticket: int = 0, group: str = "", **_ignored: Any
) -> tuple[structs.TradePosition, ...] | None:
    """Return open positions; `ticket` beats `symbol` beats `group`."""
    return _many(structs.TradePosition, _connection.call("positions_get", symbol, ticket, group))


def orders_total() -> int | None:
    """Return how many orders wait."""
    found = _connection.call("orders_get", "", 0, "")
    return None if found is None else len(found)


def orders_get(
    *, symbol: str = "", ticket: int = 0, group: str = "", **_ignored: Any
) -> tuple[structs.TradeOrder, ...] | None:
    """Return waiting orders; `ticket` beats `symbol` beats `group`."""
    return _many(structs.TradeOrder, _connection.call("orders_get", symbol, ticket, group))


def history_orders_total(date_from: Any, date_to: Any, /) -> int | None:
    """Return how many orders ended between two moments of the broker's clock."""
    found = history_orders_get(date_from, date_to)
    return None if found is None else len(found)


def history_deals_total(date_from: Any, date_to: Any, /) -> int | None:
    """Return how many deals were made between two moments of the broker's clock."""
    found = history_deals_get(date_from, date_to)
    return None if found is None else len(found)


def history_orders_get(
    *dates: Any, group: str = "", ticket: int = 0, position: int = 0, **_ignored: Any
) -> tuple[structs.TradeOrder, ...] | None:
    """Return ended orders: two dates, or only a ticket or a position."""
    found = _history("history_orders_get", dates, group, ticket, position)
    return _many(structs.TradeOrder, found)


def history_deals_get(
    *dates: Any, group: str = "", ticket: int = 0, position: int = 0, **_ignored: Any
) -> tuple[structs.TradeDeal, ...] | None:
    """Return deals: two dates, or only a ticket or a position."""
    found = _history("history_deals_get", dates, group, ticket, position)
    return _many(structs.TradeDeal, found)


def order_check(*args: Any, **kwargs: Any) -> structs.OrderCheckResult | None:
    """Return the terminal's opinion of a request, without sending it."""
    return _traded(structs.OrderCheckResult, "order_check", args, kwargs)


def order_send(*args: Any, **kwargs: Any) -> structs.OrderSendResult | None:
    """Send a request: one dict, or keywords."""
    return _traded(structs.OrderSendResult, "order_send", args, kwargs)


def order_calc_margin(action: int, symbol: str, volume: float, price: float, /) -> float | None:
    """Return what a position would bind, in the account's currency."""
    found: float | None = _connection.call("order_calc_margin", action, symbol, volume, price)
    return found


def order_calc_profit(
    action: int, symbol: str, volume: float, price_open: float, price_close: float, /
) -> float | None:
    """Return what a trade would earn, in the account's currency."""
    found: float | None = _connection.call(
        "order_calc_profit", action, symbol, volume, price_open, price_close
    )
    return found


def _history(
    name: str, dates: tuple[Any, ...], group: str, ticket: int, position: int
) -> Sequence[Any] | None:
    try:
        begin_s, end_s = period(dates, by_number=bool(ticket or position))
    except BadArgument as error:
        _connection.fail(-2, str(error))
        return None
    found: Sequence[Any] | None = _connection.call(name, begin_s, end_s, group, ticket, position)
    return found


def _traded(kind: type[S], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> S | None:
    try:
        request = trade_request(args, kwargs)
    except BadArgument as error:
        _connection.fail(-2, str(error))
        return None
    answer = _connection.call(name, request)
    if answer is None:
        return None
    return kind((*answer[:-1], structs.TradeRequest(answer[-1])))


def _one(kind: type[S], row: Sequence[Any] | None) -> S | None:
    return None if row is None else kind(row)


def _many(kind: type[S], rows: Sequence[Sequence[Any]] | None) -> tuple[S, ...] | None:
    return None if rows is None else tuple(kind(row) for row in rows)


def _unsupported_when_detached(value: Any) -> Any:
    # Without a terminal these two say -5 where all others say -10004 (MT5.md 0, run under Wine).
    if value is None and _connection.error[0] == -10004:
        _connection.fail(-5, "Unsupported")
    return value
