# SPDX-License-Identifier: Apache-2.0
"""How often, and for how long, writes may fail before an account says so."""

from __future__ import annotations

import pytest

from mt5_operator.names import Key
from mt5_operator.reconcile.context.refusals import Refusals
from mt5_operator.settings import Settings

KEY = Key("ns", "demo")


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
def test_so_many_writes_without_an_answer_as_is_set_are_no_chance(tries: int) -> None:
    refusals = Refusals(Settings(write_tries=tries), clock=lambda: 0)

    told = [refusals.unanswered(KEY) for _ in range(tries + 1)]

    assert told == [False] * (tries - 1) + [True, True]


@pytest.mark.parametrize("busy_s", [0, 20, 90])
def test_a_busy_api_server_is_told_when_it_has_lasted_as_long_as_is_set(busy_s: int) -> None:
    times = range(0, 100, 10)
    clock = iter(times)
    settings = Settings(write_tries=1, write_busy_s=busy_s)
    refusals = Refusals(settings, clock=lambda: next(clock))

    told = [refusals.unanswered(KEY, busy=True) for _ in times]

    assert told == [at >= busy_s for at in times]


def test_the_same_write_is_tried_again_ever_more_seldom_between_the_bounds_that_are_set() -> None:
    refusals = Refusals(Settings(backoff_min_s=3, backoff_max_s=10), clock=lambda: 0)

    pauses = []
    for _ in range(4):
        refusals.add(KEY, {"a": 1}, "no")
        pauses.append(refusals.next_s(KEY))

    assert pauses == [3, 6, 10, 10]
