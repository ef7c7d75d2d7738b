# SPDX-License-Identifier: Apache-2.0
"""The functions of the MetaTrader5 package for terminal, account and symbols, with its names and
answers.

Those that take `*args` are positional only in the package too, and answer a wrong count or type
with last_error -2, not with TypeError; `tests/contract` compares the kinds.
"""

from typing import Any

from mt5_simulator import structs
from mt5_simulator.arguments import DEFAULT_TIMEOUT_MS, BadArgument, named, symbol
from mt5_simulator.client import CONNECTION
from mt5_simulator.structs import many, one

_NOT_FOUND = "IPC initialize failed, MetaTrader 5 x64 not found"
_INCOMPATIBLE = (
    "Terminal: Incompatible versions, please install the latest version of Terminal and Python"
    " module"
)


def initialize(*args: Any, **kwargs: Any) -> bool:
    """`[path]`, and by keyword `path login password server timeout`: attach to the terminal of that
    path, and log in if asked to."""
    try:
        path, login, password, server, timeout_ms = _initial(args, kwargs)
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return False
    if not path:
        CONNECTION.fail(-10003, _NOT_FOUND)
        return False
    if not CONNECTION.open(path):
        return False
    if login or password or server:
        ready = CONNECTION.login(login, server, password, timeout_ms)
    else:
        ready = CONNECTION.wait(timeout_ms)
    if not ready:
        CONNECTION.close()  # any later call answers -10004 and hides this error (MT5.md 3.4)
    return ready


def login(*args: Any, **kwargs: Any) -> bool:
    """`login`, and by keyword `password server timeout`: log the attached terminal in to another
    account."""
    try:
        given = {"login": args[0] if args else None, **kwargs}
        number = named("login", int, given["login"])
        _, password, server, timeout_ms = _credentials(given)
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return False
    return CONNECTION.login(number, server, password, timeout_ms)


def shutdown() -> bool:
    """Detach; the terminal goes on."""
    CONNECTION.close()
    CONNECTION.fail(1, "Success")
    return True


def last_error() -> tuple[int, str]:
    """Return code and text of the last call."""
    return CONNECTION.error


def version() -> tuple[int, int, str]:
    """Return 500, the terminal's build and its date; zeros when there is no terminal."""
    answer = CONNECTION.call("version")
    return (0, 0, "") if answer is None else (answer[0], answer[1], answer[2])


def terminal_info() -> structs.TerminalInfo | None:
    """Return the terminal's state."""
    return one(structs.TerminalInfo, CONNECTION.call("terminal_info"))


def account_info() -> structs.AccountInfo | None:
    """Return the account."""
    return one(structs.AccountInfo, CONNECTION.call("account_info"))


def symbols_total() -> int | None:
    """Return how many symbols the server has."""
    found: int | None = _incompatible_when_detached(CONNECTION.call("symbols_total"))
    return found


def symbols_get(*_ignored: Any, **kwargs: Any) -> tuple[structs.SymbolInfo, ...] | bool | None:
    """By keyword `group`: return its symbols. Positional arguments are not even looked at. False,
    where all others say None, when `group` is no text."""
    try:
        group = named("group", str, kwargs.get("group", ""))
    except BadArgument as error:
        CONNECTION.fail(-2, str(error))
        return False
    found = CONNECTION.call("symbols_get", group)
    return many(structs.SymbolInfo, _incompatible_when_detached(found))


def symbol_info(*args: Any) -> structs.SymbolInfo | None:
    """`symbol`: return what it is."""
    return one(structs.SymbolInfo, CONNECTION.asked("symbol_info", args, symbol))


def symbol_info_tick(*args: Any) -> structs.Tick | None:
    """`symbol`: return its last tick."""
    return one(structs.Tick, CONNECTION.asked("symbol_info_tick", args, symbol))


def symbol_select(*args: Any) -> bool:
    """`symbol, [enable]`: put it into Market Watch, or take it out."""
    enabled = args if len(args) != 1 else (*args, True)
    return bool(CONNECTION.asked("symbol_select", enabled, symbol, bool))


def _initial(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, int, str, str, int]:
    if len(args) > 1:
        raise BadArgument("Invalid number of arguments")
    if args and not isinstance(args[0], str):
        raise BadArgument("Invalid 1st unnamed argument")
    path = args[0] if args else named("path", str, kwargs.get("path", ""))
    return path, *_credentials(kwargs)


def _credentials(given: dict[str, Any]) -> tuple[int, str, str, int]:
    return (
        named("login", int, given.get("login", 0)),
        named("password", str, given.get("password", "")),
        named("server", str, given.get("server", "")),
        named("timeout", int, given.get("timeout", DEFAULT_TIMEOUT_MS)),
    )


def _incompatible_when_detached(value: Any) -> Any:
    # Without a terminal these two say -5 where all others say -10004 (MT5.md 0, run under Wine).
    if value is None and not CONNECTION.attached:
        CONNECTION.fail(-5, _INCOMPATIBLE)
    return value
