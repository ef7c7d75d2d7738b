# SPDX-License-Identifier: Apache-2.0
"""The worker turns whatever the package does into an answer."""

import time
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from mt5_agent.pipe import SELECT, TICKS, Job
from mt5_agent.worker import Worker

TICK = (1_795_428_000, 1.1, 1.2, 0.0, 0, 1_795_428_000_123, 6, 0.0)


def fails(*_args):
    raise SystemError("no such thing")


@pytest.fixture
def package():
    """Stands for the package: each test gives it the function that it needs."""
    return SimpleNamespace(last_error=lambda: (-4, "Terminal: Not found"))


def value(done):
    assert done.ok, done.text
    return msgspec.msgpack.decode(done.value)


def test_arrays_become_columns(package):
    bars = np.array([(1, 1.5), (2, 2.5)], dtype=[("time", "<i8"), ("open", "<f8")])
    package.copy_rates_from_pos = lambda *_args: bars

    done = Worker(package).do(Job("copy_rates_from_pos", ("EURUSD", 1, 0, 2)))

    assert value(done) == {"time": [1, 2], "open": [1.5, 2.5]}


def test_structs_of_the_packages_kind_become_arrays_at_every_depth(package):
    moment = time.gmtime(0)  # as the package's: a PyStructSequence
    package.positions_get = lambda: (moment, moment)
    package.order_check = lambda _request: time.struct_time((*moment[:8], moment))

    rows = value(Worker(package).do(Job("positions_get")))
    nested = value(Worker(package).do(Job("order_check", ({"action": 1},))))

    assert rows == [[*moment], [*moment]]
    assert nested[-1] == [*moment]


def test_an_answer_that_is_too_large_is_refused_and_the_worker_lives(package):
    package.copy_ticks_from = lambda *_args: np.zeros(4_000_000, dtype=[("bid", "<f8")])

    done = Worker(package).do(Job("copy_ticks_from", ("EURUSD", 0, 4_000_000, -1)))

    assert not done.ok
    assert "ask for less" in done.text


def test_none_carries_last_error(package):
    package.symbol_info = lambda _name: None

    done = Worker(package).do(Job("symbol_info", ("NOPE",)))

    assert (done.ok, done.code) == (False, -4)


def test_what_the_package_raises_is_an_answer(package):
    package.symbol_info = fails

    done = Worker(package).do(Job("symbol_info", ("EURUSD",)))

    assert (done.ok, done.text) == (False, "SystemError: no such thing")


def test_ticks_that_did_not_come_yet_are_left_out(package):
    package.symbol_info_tick = {"A": TICK, "B": (0,) * 8, "C": None}.get

    assert list(value(Worker(package).do(Job(TICKS, ("A", "B", "C"))))) == ["A"]


def test_symbols_that_do_not_exist_are_named(package):
    package.symbol_select = lambda name, _enable: name == "A"

    assert value(Worker(package).do(Job(SELECT, ("A", "B")))) == ["B"]
