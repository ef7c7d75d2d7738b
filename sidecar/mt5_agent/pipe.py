# SPDX-License-Identifier: Apache-2.0
"""Between supervisor and worker: one job at a time, over the worker's stdin and stdout, in the
protocol's frames."""

from typing import Any, Final

import msgspec

from mt5_agent.protocol import MAX_ANSWER_BYTES

MAX_PIPE_BYTES: Final = MAX_ANSWER_BYTES + 64 * 1024
"""Largest body between the two, who are always of one version: a whole result, and what is around
it."""

ATTACH: Final = "attach"
"""Job: `initialize` with kwargs path, login, server, password, timeout."""
TICKS: Final = "ticks"
"""Job: the last tick of each symbol in `args`; a map symbol to Tick."""
SELECT: Final = "select"
"""Job: put the symbols in `args` into Market Watch; the list of those that do not exist."""


class Job(msgspec.Struct, frozen=True):
    """A call of the package by its name, or one of the jobs above."""

    call: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}


class Done(msgspec.Struct, frozen=True):
    """A job's end. `code` and `text` are last_error, taken at once; `ok` False: the package said
    None or False, or was not asked at all: `made` False."""

    ok: bool
    code: int = 1
    text: str = ""
    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    made: bool = True


class Ready(msgspec.Struct, frozen=True):
    """A worker's first message: the package is imported."""

    package: str
