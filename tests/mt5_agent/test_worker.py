# SPDX-License-Identifier: Apache-2.0
"""The worker turns whatever the package does into an answer."""

import time
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from mt5_agent.pipe import ATTACH, SELECT, TICKS, Job
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


def attached(package, *, wanted, shows):
    """A worker that logged in as `wanted`, in a terminal that shows `shows` by now."""
    package.initialize = lambda *_args, **_kwargs: True
    package.account_info = lambda: (wanted, 0)
    worker = Worker(package)
    assert worker.do(Job(ATTACH, kwargs={"path": "x", "login": wanted})).ok
    package.account_info = lambda: shows and (shows, 0)
    package.sent = []
    package.order_send = lambda request: package.sent.append(request) or (10009,)
    return worker


@pytest.mark.parametrize("shows", [20002, None])
def test_an_order_is_not_begun_on_another_account_than_the_wanted_one(package, shows):
    worker = attached(package, wanted=10001, shows=shows)

    done = worker.do(Job("order_send", ({"action": 1},)))

    assert (done.ok, done.made, package.sent) == (False, False, [])
    assert "20002" not in done.text


def test_an_order_is_begun_on_the_wanted_account(package):
    worker = attached(package, wanted=10001, shows=10001)

    assert value(worker.do(Job("order_send", ({"action": 1},)))) == [10009]
    assert len(package.sent) == 1


def test_a_log_in_that_ends_on_another_account_is_none(package):
    package.initialize = lambda *_args, **_kwargs: True
    package.account_info = lambda: (20002, 0)

    done = Worker(package).do(Job(ATTACH, kwargs={"path": "x", "login": 10001}))

    assert not done.ok
    assert "account" in done.text


def test_a_log_in_may_end_before_the_terminal_names_its_account(package):
    package.initialize = lambda *_args, **_kwargs: True
    package.account_info = lambda: (0, 0)

    assert Worker(package).do(Job(ATTACH, kwargs={"path": "x", "login": 10001})).ok


def test_half_a_character_in_a_comment_hides_nothing_else(package):
    # What is left of an emoji at the end of what a comment holds; UTF-8 has no such character.
    package.positions_get = lambda: ((1, "cut \ud83d", {"deep": ["\udc00"]}),)

    rows = value(Worker(package).do(Job("positions_get")))

    assert rows == [[1, "cut ?", {"deep": ["?"]}]]


def test_half_a_character_in_an_error_ends_no_worker(package):
    package.last_error = lambda: (-1, "cut \ud83d")
    package.symbol_info = lambda _name: None

    done = Worker(package).do(Job("symbol_info", ("EURUSD",)))

    assert done.text == "cut ?"
