# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_simulator.terminal --data-dir D`: run until stdin closes or SIGTERM comes.

Its parent holds the other end of stdin, so it can never outlive that parent.
"""

import sys

if __name__ == "__main__":
    # Optional to msgspec, and 1.4 MB in every account's pod.
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]

import argparse
import os
import signal
from pathlib import Path
from types import FrameType

from mt5_simulator import keeper, wire
from mt5_simulator.broker.clock import system_clock
from mt5_simulator.terminal.calls import Calls
from mt5_simulator.terminal.journal import Journal
from mt5_simulator.terminal.server import Server
from mt5_simulator.terminal.session import BUILD, Session
from mt5_simulator.terminal.storage import Books, SharedStorage, Storage


class _Stop(Exception):
    """Somebody asked the terminal to close."""


def main() -> int:
    """Run the terminal; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="mt5_simulator.terminal")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--platform", choices=("Linux", "Windows"), default="Linux")
    options = parser.parse_args()
    data_dir: Path = options.data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    journal = Journal(data_dir, system_clock)
    _greet(journal, options.platform)
    _server(data_dir, journal, wine=options.platform == "Linux").start()
    _wait()
    wire.forget(data_dir)
    journal.write("Terminal", "exit with code 0")
    return 0


def _server(data_dir: Path, journal: Journal, *, wine: bool) -> Server:
    storage = _books(data_dir)
    session = Session(journal=journal, storage=storage, clock=system_clock, wine=wine)
    calls = Calls(session, storage, system_clock, str(data_dir))
    return Server(calls, wire.listen(data_dir))


def _books(data_dir: Path) -> Books:
    broker = os.environ.get("MT5_SIMULATOR_BROKER")
    return SharedStorage(keeper.address(broker)) if broker else Storage(data_dir)


def _greet(journal: Journal, platform: str) -> None:
    system = "Windows 10 build 19045" + (" on Wine 10.0" if platform == "Linux" else "")
    journal.write("Terminal", f"MetaTrader 5 x64 build {BUILD} started for MT5 Bridge Simulator")
    journal.write("Terminal", system)


def _wait() -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Stop

    try:
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except _Stop:
        pass


if __name__ == "__main__":
    sys.exit(main())
