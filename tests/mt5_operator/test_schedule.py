# SPDX-License-Identifier: Apache-2.0
"""The queue: each key once, one worker at a time, some only later."""

from __future__ import annotations

import asyncio

import pytest

from cluster.waiting import patience_s
from mt5_operator.names import Key
from mt5_operator.schedule import Schedule

A, B = Key("ns", "a"), Key("ns", "b")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> Schedule:
    return Schedule(clock)


def test_a_key_added_twice_is_taken_once(schedule: Schedule) -> None:
    schedule.add(A)
    schedule.add(A)
    schedule.add(B)

    assert [schedule.take(), schedule.take(), schedule.take()] == [A, B, None]


def test_a_key_added_while_it_is_worked_on_comes_again_after(schedule: Schedule) -> None:
    schedule.add(A)
    schedule.take()
    schedule.add(A)
    schedule.add(A)

    assert schedule.take() is None
    schedule.done(A)
    assert [schedule.take(), schedule.take()] == [A, None]


def test_a_later_key_comes_when_it_is_due(schedule: Schedule, clock: Clock) -> None:
    schedule.add(A, after_s=5)

    assert schedule.take() is None
    assert schedule.next_due_s() == 5
    clock.now = 5
    assert schedule.take() == A


def test_the_earliest_time_counts(schedule: Schedule, clock: Clock) -> None:
    schedule.add(A, after_s=5)
    schedule.add(A, after_s=2)
    schedule.add(A, after_s=9)

    clock.now = 2
    assert schedule.take() == A
    schedule.done(A)
    clock.now = 20
    assert schedule.take() is None


def test_now_overtakes_later(schedule: Schedule, clock: Clock) -> None:
    schedule.add(A, after_s=5)
    schedule.add(A)

    assert schedule.take() == A
    schedule.done(A)
    clock.now = 6
    assert schedule.take() is None


def test_a_dropped_key_does_not_come(schedule: Schedule, clock: Clock) -> None:
    schedule.add(A, after_s=1)
    schedule.drop(A)

    clock.now = 2
    assert schedule.take() is None


def everything(schedule: Schedule) -> list[Key]:
    """Take and finish all that is due."""
    found = []
    while key := schedule.take():
        schedule.done(key)
        found.append(key)
    return found


def test_a_key_with_a_reason_goes_before_all_without(schedule: Schedule) -> None:
    for number in range(5):
        schedule.add_patient(Key("ns", f"p{number}"))
    schedule.add(A)
    schedule.add(Key("ns", "p3"))  # now it has one, too

    assert len(schedule) == 6
    assert [key.name for key in everything(schedule)] == ["a", "p3", "p0", "p1", "p2", "p4"]


def test_a_key_without_a_reason_does_not_wait_for_ever(schedule: Schedule) -> None:
    schedule.add_patient(A)
    taken = []

    for number in range(20):
        schedule.add(Key("ns", f"k{number}"))
        schedule.add(Key("ns", f"l{number}"))
        key = schedule.take()
        assert key is not None
        schedule.done(key)
        taken.append(key)

    assert A in taken


def test_a_key_without_a_reason_comes_once_and_after_the_work_that_began_before(
    schedule: Schedule,
) -> None:
    schedule.add(A)
    schedule.add_patient(A)
    assert schedule.take() == A
    schedule.add_patient(A)
    assert schedule.take() is None
    schedule.done(A)

    assert everything(schedule) == [A]


def test_a_time_that_comes_makes_a_patient_key_due(schedule: Schedule, clock: Clock) -> None:
    schedule.add_patient(B)
    schedule.add_patient(A)
    schedule.add(A, after_s=2)
    clock.now = 2

    assert everything(schedule) == [A, B]


async def test_a_waiting_worker_gets_a_patient_key() -> None:
    schedule = Schedule()
    worker = asyncio.create_task(schedule.get())
    await asyncio.sleep(0)

    schedule.add_patient(A)

    assert await asyncio.wait_for(worker, patience_s(5)) == A


async def test_a_waiting_worker_gets_what_is_added() -> None:
    schedule = Schedule()
    worker = asyncio.create_task(schedule.get())
    await asyncio.sleep(0)

    schedule.add(A)

    assert await worker == A


async def test_a_cancelled_worker_leaves_its_key_to_another() -> None:
    schedule = Schedule()
    first, second = asyncio.create_task(schedule.get()), asyncio.create_task(schedule.get())
    await asyncio.sleep(0)

    schedule.add(A)
    first.cancel()

    assert await second == A


async def test_a_waiting_worker_is_woken_when_a_later_key_is_due() -> None:
    schedule = Schedule()
    worker = asyncio.create_task(schedule.get())
    await asyncio.sleep(0)

    schedule.add(A, after_s=0.01)

    assert await asyncio.wait_for(worker, patience_s(5)) == A


def test_namespaces_take_turns_and_each_keeps_its_order(schedule: Schedule) -> None:
    for name in ("1", "2", "3"):
        schedule.add(Key("many", name))
    schedule.add(Key("few", "1"))

    taken = [f"{key.namespace}/{key.name}" for key in everything(schedule)]

    assert taken == ["many/1", "few/1", "many/2", "many/3"]


async def test_work_that_hangs_in_one_namespace_holds_up_no_other() -> None:
    # A webhook that does not answer for one namespace: each write there takes the API's timeout.
    schedule, forever, done = Schedule(limit=16), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        while True:
            key = await schedule.get()
            if key.namespace == "hangs":
                await forever.wait()
            done.set()
            schedule.done(key)

    for number in range(100):
        schedule.add(Key("hangs", f"n{number}"))
        schedule.add_patient(Key("hangs", f"p{number}"))
    workers = [asyncio.create_task(work()) for _ in range(16)]
    try:
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(schedule) == 200 - 8
        schedule.add(Key("well", "a"))
        await asyncio.wait_for(done.wait(), patience_s(5))
        # And nothing is forgotten when it hangs no more.
        forever.set()
        for _ in range(500):
            await asyncio.sleep(0)
        assert not len(schedule)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def test_where_only_one_namespace_has_keys_all_workers_are_for_it(clock: Clock) -> None:
    schedule = Schedule(clock, limit=4, shared=lambda: False)
    for number in range(4):
        schedule.add(Key("ns", f"n{number}"))

    assert None not in [schedule.take() for _ in range(4)]


async def test_a_worker_that_sleeps_is_woken_when_a_place_becomes_free() -> None:
    schedule = Schedule(limit=3)
    for name in ("a", "b"):
        schedule.add(Key("one", name))
    schedule.add(Key("two", "a"))
    first, second, third = (schedule.take() for _ in range(3))
    assert (first, second, third) == (Key("one", "a"), Key("two", "a"), None)
    worker = asyncio.create_task(schedule.get())
    await asyncio.sleep(0)
    assert not worker.done()

    schedule.done(Key("two", "a"))

    assert await asyncio.wait_for(worker, patience_s(5)) == Key("one", "b")
