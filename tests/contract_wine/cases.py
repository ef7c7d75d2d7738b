# SPDX-License-Identifier: Apache-2.0
"""Calls of the package that need no terminal, and what each gives: return value or exception, and
last_error.

One file for every Python that has a package under test: `python cases.py MetaTrader5` prints the
outcomes as JSON. Under Wine it is run from its source text; so it imports nothing of ours.
"""

import datetime
import importlib
import json
import sys
from types import ModuleType
from typing import Any

import numpy as np

NOWHERE = "C:\\nowhere\\terminal64.exe"
ORDER = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1}
INSTANT = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


class Case:
    """A call: of `name`, with these arguments."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs

    def made_on(self, package: Any) -> Any:
        """Make the call, in the form that a plain source line would have."""
        function = getattr(package, self.name)
        return function(*self.args, **self.kwargs) if self.kwargs else function(*self.args)


class EmptyKeywords(Case):
    """The same call in the form `f(*args, **{})`."""

    def made_on(self, package: Any) -> Any:
        function = getattr(package, self.name)
        # A mapping in a variable: the compiler would drop a literal `**{}`.
        return function(*self.args, **self.kwargs)


def reads() -> dict[str, Case]:
    """Return calls without arguments, or with good ones."""
    plain = (
        "last_error version terminal_info account_info symbols_total symbols_get positions_total"
        " positions_get orders_total orders_get"
    )
    named = "symbol_info symbol_info_tick symbol_select market_book_add market_book_get"
    return {
        **{f"{name}()": Case(name) for name in plain.split()},
        **{f"{name}(symbol)": Case(name, "EURUSD") for name in named.split()},
        "market_book_release(symbol)": Case("market_book_release", "EURUSD"),
        "symbol_select(symbol, True)": Case("symbol_select", "EURUSD", True),  # noqa: FBT003 -- the package's way
        "symbols_get(group=)": Case("symbols_get", group="*"),
        "symbols_get(positional)": Case("symbols_get", "*"),
        "version(1)": Case("version", 1),
        "symbol_info()": Case("symbol_info"),
        "symbol_info(int)": Case("symbol_info", 5),
        "symbol_info(300 characters)": Case("symbol_info", "A" * 300),
        "symbol_info(symbol=)": Case("symbol_info", symbol="EURUSD"),
        "symbol_info_tick(symbol=)": Case("symbol_info_tick", symbol="EURUSD"),
        "symbol_select(enable=)": Case("symbol_select", "EURUSD", enable=True),
        "market_book_add(symbol=)": Case("market_book_add", symbol="EURUSD"),
    }


def series() -> dict[str, Case]:
    """Return calls for bars and ticks."""
    start = 1_700_000_000
    return {
        "copy_rates_from(int)": Case("copy_rates_from", "EURUSD", 1, start, 10),
        "copy_rates_from(float)": Case("copy_rates_from", "EURUSD", 1, start + 0.5, 10),
        "copy_rates_from(datetime)": Case("copy_rates_from", "EURUSD", 1, INSTANT, 10),
        "copy_rates_from(str)": Case("copy_rates_from", "EURUSD", 1, "x", 10),
        "copy_rates_from(keywords)": Case(
            "copy_rates_from", symbol="EURUSD", timeframe=1, date_from=start, count=10
        ),
        "copy_rates_from_pos": Case("copy_rates_from_pos", "EURUSD", 1, 0, 10),
        "copy_rates_range": Case("copy_rates_range", "EURUSD", 1, start, start + 3600),
        "copy_ticks_from": Case("copy_ticks_from", "EURUSD", start, 10, -1),
        "copy_ticks_range": Case("copy_ticks_range", "EURUSD", start, start + 1, -1),
        "copy_ticks_range(symbol only)": Case("copy_ticks_range", "EURUSD"),
        "order_calc_margin": Case("order_calc_margin", 0, "EURUSD", 0.1, 1.1),
        "order_calc_margin(int volume)": Case("order_calc_margin", 0, "EURUSD", 1, 1.1),
        "order_calc_margin(keywords)": Case(
            "order_calc_margin", action=0, symbol="EURUSD", volume=0.1, price=1.1
        ),
        "order_calc_profit": Case("order_calc_profit", 0, "EURUSD", 0.1, 1.1, 1.2),
    }


def requests(name: str) -> dict[str, Case]:
    """Return the calls of order_check or order_send."""
    changes: dict[str, dict[str, Any]] = {
        **{f"int {key}": {key: 1} for key in ("volume", "price", "sl", "tp", "stoplimit")},
        "float64 volume": {"volume": np.float64(0.1)},
        "int64 action": {"action": np.int64(1)},
        "float magic": {"magic": 1.0},
        "negative magic": {"magic": -1},
        "magic of 65 bits": {"magic": 2**64},
        "str action": {"action": "1"},
        "bool type": {"type": True},
        "None sl": {"sl": None},
        "29 characters of comment": {"comment": "c" * 29},
        "29 characters of comment in 58 bytes": {"comment": "é" * 29},
        "30 characters of comment": {"comment": "c" * 30},
        "int comment": {"comment": 5},
        "29 characters of symbol": {"symbol": "c" * 29},
        "30 characters of symbol": {"symbol": "c" * 30},
        "unknown key": {"stoploss": 1},
        "datetime expiration": {"expiration": INSTANT},
    }
    return {
        f"{name}(dict)": Case(name, ORDER),
        f"{name}(keywords)": Case(name, **ORDER),
        f"{name}(dict, **empty)": EmptyKeywords(name, ORDER),
        f"{name}(dict and keyword)": Case(name, ORDER, symbol="X"),
        f"{name}()": Case(name),
        f"{name}(empty dict)": Case(name, {}),
        f"{name}(two)": Case(name, ORDER, ORDER),
        f"{name}(list)": Case(name, [1]),
        **{f"{name}({key})": Case(name, {**ORDER, **value}) for key, value in changes.items()},
    }


def books() -> dict[str, Case]:
    """Return the calls for positions, orders and history."""
    cases: dict[str, Case] = {}
    for name in ("positions_get", "orders_get"):
        cases |= {
            f"{name}(positional)": Case(name, "EURUSD"),
            f"{name}(symbol=)": Case(name, symbol="EURUSD"),
            f"{name}(ticket=)": Case(name, ticket=1),
            f"{name}(ticket=str)": Case(name, ticket="1"),
            f"{name}(group=)": Case(name, group="*"),
            f"{name}(unknown=)": Case(name, unknown=1),
        }
    for name in ("history_orders_total", "history_deals_total"):
        cases |= {
            f"{name}(dates)": Case(name, 0, 1_700_000_000),
            f"{name}()": Case(name),
            f"{name}(keywords)": Case(name, date_from=0, date_to=1),
        }
    for name in ("history_orders_get", "history_deals_get"):
        cases |= {
            f"{name}(dates)": Case(name, 0, 1_700_000_000),
            f"{name}(dates, group=)": Case(name, 0, 1_700_000_000, group="*"),
            f"{name}(dates, ticket=)": Case(name, 0, 1, ticket=1),
            f"{name}(ticket=)": Case(name, ticket=1),
            f"{name}(position=)": Case(name, position=1),
            f"{name}()": Case(name),
            f"{name}(one date)": Case(name, 1),
            f"{name}(three dates)": Case(name, 1, 2, 3),
            f"{name}(keyword dates)": Case(name, date_from=0, date_to=1),
        }
    return cases


def connections() -> dict[str, Case]:
    """Return the calls that log in, attach and detach; they come last."""
    return {
        "login(login)": Case("login", 1),
        "login(all)": Case("login", 1, password="x", server="y"),
        "login(login=)": Case("login", login=1, password="x", server="y"),
        "login()": Case("login"),
        "Close(symbol)": Case("Close", "EURUSD"),
        "Buy(symbol, volume)": Case("Buy", "EURUSD", 0.1),
        "Sell(symbol, volume, price)": Case("Sell", "EURUSD", 0.1, 1.1),
        "initialize(path=)": Case("initialize", path=NOWHERE),
        "after initialize": Case("account_info"),
        "initialize(path)": Case("initialize", NOWHERE),
        "initialize(unknown=)": Case("initialize", path=NOWHERE, nonsense=1),
        "initialize(int)": Case("initialize", 5),
        "initialize(login=str)": Case("initialize", NOWHERE, login="5"),
        "initialize(timeout=str)": Case("initialize", NOWHERE, timeout="5"),
        "initialize(two)": Case("initialize", NOWHERE, "y"),
        "initialize()": Case("initialize"),
        "shutdown()": Case("shutdown"),
        "shutdown(1)": Case("shutdown", 1),
        "after shutdown": Case("account_info"),
    }


def odd() -> dict[str, Case]:
    """Return calls with arguments that somebody will try: too many, too few, of another kind."""
    bare = "last_error terminal_info account_info symbols_total positions_total orders_total"
    later = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    cases: dict[str, Case] = {f"{name}(1)": Case(name, 1) for name in bare.split()}
    for name in ("history_orders_get", "history_deals_get", "history_deals_total"):
        cases |= {
            f"{name}(datetimes)": Case(name, INSTANT, later),
            f"{name}(floats)": Case(name, 1.5, 2.5),
            f"{name}(texts)": Case(name, "a", "b"),
            f"{name}(reversed)": Case(name, 2, 1),
        }
    for name in ("positions_get", "orders_get", "symbols_get"):
        cases |= {
            f"{name}(group=int)": Case(name, group=5),
            f"{name}(group=None)": Case(name, group=None),
        }
    return cases | {
        "version(x=)": Case("version", x=1),
        "symbol_info(None)": Case("symbol_info", None),
        "symbol_info(empty)": Case("symbol_info", ""),
        "symbol_info(two)": Case("symbol_info", "EURUSD", "X"),
        "symbol_info_tick()": Case("symbol_info_tick"),
        "symbol_select()": Case("symbol_select"),
        "symbol_select(symbol, 1)": Case("symbol_select", "EURUSD", 1),
        "symbol_select(symbol, str)": Case("symbol_select", "EURUSD", "yes"),
        "market_book_get()": Case("market_book_get"),
        "market_book_add()": Case("market_book_add"),
        "market_book_add(int)": Case("market_book_add", 5),
        "history_deals_get(ticket=negative)": Case("history_deals_get", ticket=-1),
        "history_orders_get(position=of 65 bits)": Case("history_orders_get", position=2**64),
        "copy_rates_from(float timeframe)": Case("copy_rates_from", "EURUSD", 1.0, 1, 1),
        "copy_rates_range(None)": Case("copy_rates_range", "EURUSD", 1, None, None),
        "symbol_select(None)": Case("symbol_select", None),
        "order_calc_profit(None volume)": Case("order_calc_profit", 0, "EURUSD", None, 1.1, 1.2),
        "market_book_release()": Case("market_book_release"),
        "positions_get(symbol=int)": Case("positions_get", symbol=5),
        "positions_get(symbol=, ticket=)": Case("positions_get", symbol="EURUSD", ticket=1),
        "positions_get(ticket=negative)": Case("positions_get", ticket=-1),
        "orders_get(ticket=of 65 bits)": Case("orders_get", ticket=2**64),
        "copy_rates_from_pos(negative count)": Case("copy_rates_from_pos", "EURUSD", 1, 0, -1),
        "copy_rates_from_pos(float count)": Case("copy_rates_from_pos", "EURUSD", 1, 0, 1.5),
        "copy_rates_from_pos(timeframe 7)": Case("copy_rates_from_pos", "EURUSD", 7, 0, 1),
        "copy_rates_from_pos(three)": Case("copy_rates_from_pos", "EURUSD", 1, 0),
        "copy_rates_range(reversed)": Case("copy_rates_range", "EURUSD", 1, 2_000, 1_000),
        "copy_ticks_from(str flags)": Case("copy_ticks_from", "EURUSD", 1, 1, "ALL"),
        "copy_ticks_from(keywords)": Case(
            "copy_ticks_from", symbol="EURUSD", date_from=1, count=1, flags=-1
        ),
        "order_calc_profit(keywords)": Case(
            "order_calc_profit", action=0, symbol="EURUSD", volume=0.1, price_open=1.1
        ),
        "order_calc_profit(four)": Case("order_calc_profit", 0, "EURUSD", 0.1, 1.1),
        "order_calc_margin(str action)": Case("order_calc_margin", "0", "EURUSD", 0.1, 1.1),
        "order_check(None)": Case("order_check", None),
        "order_check(tuple)": Case("order_check", (1, 2)),
        "order_send(None)": Case("order_send", None),
        "order_send(str)": Case("order_send", "buy"),
    }


def cases() -> dict[str, Case]:
    """Return all calls by name, in their order."""
    requested = requests("order_check") | requests("order_send")
    return reads() | series() | requested | books() | odd() | connections()


def outcome(case: Case, package: Any) -> dict[str, Any]:
    """Make one call; return what it gave."""
    try:
        given = case.made_on(package)
    except Exception as error:  # noqa: BLE001 -- whatever the package raises is its outcome
        return {"raises": type(error).__name__}
    return {"gives": given, "error": package.last_error()}


def inventory(package: ModuleType) -> dict[str, Any]:
    """Return the package's public names, and each struct's count of fields."""
    public = [name for name in dir(package) if not name.startswith("_")]
    structs = {name: getattr(package, name) for name in public}
    return {
        "names": sorted(public),
        "fields": {
            name: kind.n_sequence_fields
            for name, kind in structs.items()
            if hasattr(kind, "n_sequence_fields")
        },
    }


def main(name: str) -> None:
    """Print the outcomes of the package called `name`."""
    package = importlib.import_module(name)
    outcomes = {label: outcome(case, package) for label, case in cases().items()}
    facts = {"version": package.__version__, **inventory(package), "outcomes": outcomes}
    print(json.dumps(facts, default=repr))  # noqa: T201 -- its one output


if __name__ == "__main__":
    main(sys.argv[1])
