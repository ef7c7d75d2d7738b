# SPDX-License-Identifier: Apache-2.0
"""The files from which a terminal starts: who logs in where, and what is switched off.

What they say is pure; `prepare` and `forget` put them on disk and take them away. The password is
on disk only from the terminal's start to the log-in's end: the terminal itself remembers it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LINE_END: Final = "\r\n"
STALE: Final = ("settings.ini", "common.ini", "terminal.ini")
"""The terminal's own copies in `Config`, which win over the given file. Source: MT5.md 1.3."""
ASSISTANT: Final = "assistant.ini"
DEFAULT_MAX_BARS: Final = 100_000
"""Bounds the terminal's memory, and what copy_rates can return."""

_NEEDS_QUOTES: Final = frozenset(" ;#=[]'\t")


class Unwritable(ValueError):
    """A value cannot stand in the terminal's start file; the message never holds the value."""


def account(*, login: int, password: str, server: str) -> dict[str, str | int]:
    """Return the lines of the start file that log in.

    Raises:
        Unwritable: Password or server cannot be written in such a file.
    """
    return {
        "Login": login,
        "Password": quoted("password", password),
        "Server": quoted("server", server),
    }


def start_ini(account: Mapping[str, str | int], *, max_bars: int = DEFAULT_MAX_BARS) -> bytes:
    """Return the file for `/config:`: ASCII with CRLF, as the terminal wants it."""
    sections: Mapping[str, Mapping[str, str | int]] = {
        "Common": {
            **account,
            "KeepPrivate": 1,
            "NewsEnable": 0,
            "AutoConfiguration": 1,
            "ProxyEnable": 0,
        },
        "Charts": {"ProfileLast": "Default", "MaxBars": max_bars},
        # Enabled and Api: orders through the package need both. The rest: nothing else may trade.
        "Experts": {
            "AllowLiveTrading": 1,
            "AllowDllImport": 0,
            "Enabled": 1,
            "Account": 0,
            "Profile": 0,
            "Api": 0,
            "WebRequest": 0,
        },
    }
    return written(sections)


def assistant_ini() -> bytes:
    """Return the file that keeps the built-in MCP server off: it would be a second door to trading.

    Source: MT5.md 1.4; builds from about 6036 on.
    """
    return written({"MCP.MetaTrader": {"Enable": 0, "PermissionsTrade": 0}})


def written(sections: Mapping[str, Mapping[str, str | int]]) -> bytes:
    """Return sections as the bytes of an ini file."""
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in values.items())]
    return "".join(line + LINE_END for line in lines).encode("ascii")


def quoted(name: str, value: str) -> str:
    """Return `value` as it stands behind `name=`, in double quotes where the reader would cut it.

    Raises:
        Unwritable: It is empty, not printable ASCII, or needs quotes and holds a double quote.
    """
    if not value:
        raise Unwritable(f"the {name} is empty")
    if not (value.isascii() and value.isprintable()):
        raise Unwritable(f"the {name} holds characters that are not printable ASCII")
    if value[0] == '"' or (_NEEDS_QUOTES & set(value) and '"' in value):
        raise Unwritable(f"the {name} holds a double quote where the file needs its own")
    return f'"{value}"' if _NEEDS_QUOTES & set(value) else value


def prepare(data_dir: Path, ini: Path, text: bytes) -> None:
    """Write what the next start reads, and remove what would win over it."""
    for config in _config_folders(data_dir):
        for path in config.iterdir():
            if path.name.lower() in (*STALE, ASSISTANT):
                path.unlink()
        (config / ASSISTANT).write_bytes(assistant_ini())
    forget(ini)
    # Exclusive, and for this user alone from its first moment.
    with os.fdopen(os.open(ini, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)


def _config_folders(data_dir: Path) -> list[Path]:
    # To the terminal `config` is the same folder, and which of two it takes is Wine's to say.
    data_dir.mkdir(parents=True, exist_ok=True)
    found = [path for path in data_dir.iterdir() if path.name.lower() == "config"]
    if not found:
        found = [data_dir / "Config"]
        found[0].mkdir()
    return found


def forget(ini: Path) -> None:
    """Remove the start file, if it is there."""
    ini.unlink(missing_ok=True)
