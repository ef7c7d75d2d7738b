# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_agent.worker BACKEND`: the one process that imports the package and makes its
blocking calls.

One thread, one job at a time; which comes next, and when to give up, is the supervisor's to say: it
may kill this process at any moment. When stdin closes, the worker ends.
"""

import sys

if __name__ == "__main__":
    # Optional to msgspec, and 1.4 MB in every account's pod.
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]

import importlib
import os
from collections.abc import Callable
from typing import Any, Final

import msgspec

from mt5_agent.arguments import BadArguments, checked
from mt5_agent.pipe import ATTACH, MAX_PIPE_BYTES, SELECT, TICKS, Done, Job, Ready
from mt5_agent.protocol import MAX_ANSWER_BYTES, READ_BYTES, Frames, encode

MODULES: Final = {"simulator": "mt5_simulator", "metatrader5": "MetaTrader5"}
INVALID_PARAMS: Final = -2
_OTHER_ACCOUNT: Final = "the terminal is not on the account that was asked for"


class Worker:
    """Does jobs with `package`."""

    def __init__(self, package: Any) -> None:
        """Work with the package, or what stands for it."""
        self._package = package
        self._login = 0
        self._own: dict[str, Callable[[Job], Done]] = {
            ATTACH: self._attach,
            TICKS: self._ticks,
            SELECT: self._select,
        }

    def do(self, job: Job) -> Done:
        """Do `job`; whatever the package raises becomes an answer, never this process's end."""
        try:
            return self._own.get(job.call, self._call)(job)
        except BadArguments as error:
            return Done(ok=False, code=INVALID_PARAMS, text=str(error))
        except Exception as error:  # noqa: BLE001  (an unknown package error must be reported)
            return Done(ok=False, code=-1, text=_clean(f"{type(error).__name__}: {error}"))

    def _attach(self, job: Job) -> Done:
        settings = dict(job.kwargs)
        self._login = settings.get("login", 0)
        ok = self._package.initialize(settings.pop("path"), portable=True, **settings)
        # It may not know its account yet; but what it knows must not be another.
        if ok and self._account() not in (0, self._login):
            return Done(ok=False, code=0, text=_OTHER_ACCOUNT)
        return self._done(ok or None)

    def _call(self, job: Job) -> Done:
        function = getattr(self._package, job.call)
        args, kwargs = checked(job.call, job.args, job.kwargs)
        # At each order: between two looks of the poller somebody may have changed it by hand.
        if job.call == "order_send" and self._account() != self._login:
            return Done(ok=False, code=0, text=_OTHER_ACCOUNT, made=False)
        # An empty ** would be taken for keywords (MT5.md 3.5).
        value = function(*args, **kwargs) if kwargs else function(*args)
        return self._done(_plain(value))

    def _account(self) -> int:
        account = self._package.account_info()
        return int(account[0]) if account else 0  # its first field is the login (MT5.md 3.3)

    def _ticks(self, job: Job) -> Done:
        ticks = {name: self._package.symbol_info_tick(name) for name in job.args}
        # A symbol's first ticks after selection are zero (MT5.md 5).
        return self._done({name: tick for name, tick in ticks.items() if tick and tick[0]})

    def _select(self, job: Job) -> Done:
        select = self._package.symbol_select
        missing = [name for name in job.args if not select(name, True)]  # noqa: FBT003
        return self._done(missing)

    def _done(self, value: Any) -> Done:
        if value is None or value is False:
            code, text = self._package.last_error()
            return Done(ok=False, code=code, text=_clean(text))
        try:
            data = msgspec.msgpack.encode(value)
        except UnicodeEncodeError:
            data = msgspec.msgpack.encode(_clean(value))
        if len(data) > MAX_ANSWER_BYTES:
            raise BadArguments(f"an answer of {len(data)} bytes is too large: ask for less")
        return Done(ok=True, value=msgspec.Raw(data))


def _plain(value: Any) -> Any:
    """Return numpy arrays as columns; structs are tuples, and encoded as such without a copy."""
    names = getattr(getattr(value, "dtype", None), "names", None)
    return {name: value[name].tolist() for name in names} if names else value


def _clean(value: Any) -> Any:
    """Return `value` with half characters as "?": a comment is cut by UTF-16 units, which leaves
    half an emoji, and for that there is no UTF-8."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, tuple | list) else value


def main() -> int:
    """Serve jobs until stdin closes."""
    jobs, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # whatever the package prints must not enter the frames
    package = importlib.import_module(MODULES[sys.argv[1]])
    worker, frames = Worker(package), Frames()
    _write(answers, Ready(package=str(package.__version__)))
    while data := os.read(jobs, READ_BYTES):
        for body in frames.feed(data):
            _write(answers, worker.do(msgspec.msgpack.decode(body, type=Job)))
    package.shutdown()
    return 0


def _write(answers: int, message: object) -> None:
    rest = memoryview(encode(message, max_bytes=MAX_PIPE_BYTES))
    while rest:
        rest = rest[os.write(answers, rest) :]


if __name__ == "__main__":
    sys.exit(main())
