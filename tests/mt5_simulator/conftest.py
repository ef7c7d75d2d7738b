# SPDX-License-Identifier: Apache-2.0
"""A simulated terminal in this process with a clock in the test's hand, and one as a process."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mt5_simulator.terminal.calls import Calls
from mt5_simulator.terminal.journal import Journal
from mt5_simulator.terminal.session import Session
from mt5_simulator.terminal.storage import Books, Storage

MONDAY_MS = 1_795_428_000_000  # 2026-11-23T10:00Z


class Bench:
    """A terminal without its process: `calls` answer at the time that the test says."""

    def __init__(self, data_dir: Path, *, wine: bool = True, books: Books | None = None) -> None:
        self.now_ms = MONDAY_MS
        self.data_dir = data_dir
        journal, storage = Journal(data_dir, self.clock), books or Storage(data_dir)
        self.session = Session(journal=journal, storage=storage, clock=self.clock, wine=wine)
        self.calls = Calls(self.session, storage, self.clock, str(data_dir))

    def clock(self) -> int:
        return self.now_ms

    def passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self.calls.advance()

    def login(self, login: int = 1, server: str = "Simulator-Demo", word: str = "x") -> str:
        self.calls.answer("login", [login, server, word])
        self.passes(100)
        return self.session.verdict()[0]

    def ask(self, name: str, *args: object) -> object:
        code, text, value = self.calls.answer(name, list(args))
        assert code == 1, text
        return value

    def journal(self) -> str:
        return "".join(p.read_text("utf-16") for p in (self.data_dir / "logs").glob("*.log"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A terminal on Wine, not logged in."""
    return Bench(tmp_path)


@pytest.fixture
def terminals(tmp_path: Path) -> Callable[[Books], Bench]:
    """Make terminals on Wine with directories of their own, not logged in."""
    numbers = itertools.count()

    def make(books: Books) -> Bench:
        data_dir = tmp_path / str(next(numbers))
        data_dir.mkdir()
        return Bench(data_dir, books=books)

    return make


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The path of a terminal that runs as a process."""
    data_dir = tmp_path_factory.mktemp("terminal")
    process = subprocess.Popen(
        [sys.executable, "-m", "mt5_simulator.terminal", "--data-dir", str(data_dir)],
        stdin=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + 20
    while not (data_dir / "simulator.endpoint.json").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    yield str(data_dir / "terminal64.exe")
    process.communicate(timeout=20)
    assert process.returncode == 0
