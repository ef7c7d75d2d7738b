# SPDX-License-Identifier: Apache-2.0
"""The line in front of the worker: what goes first, and what is unknown."""

import asyncio
import time

import pytest

from mt5_agent.calls import Calls, WorkerGone, WorkerHangs
from mt5_agent.pipe import Done, Job
from mt5_agent.protocol import Priority


class StubWorker:
    """Does what a job's name says: answers, hangs or ends."""

    def __init__(self):
        self.did = []

    def give(self, job, finish):
        self.did.append(job.call)
        if job.call == "ends":
            finish(None)
        elif job.call != "hangs":
            answer = Done(ok=job.call != "refused", code=-2, text="Invalid")
            asyncio.get_running_loop().call_soon(finish, answer)


@pytest.fixture
def calls():
    made = Calls(most_waiting=4, patience_s=0.01)
    made.open()
    return made


def line_up(calls, call, priority=Priority.READ, within_s=5.0, owner=None):
    future = asyncio.get_running_loop().create_future()
    calls.put(Job(call), priority, within_s=within_s, finish=future.set_result, owner=owner)
    return future


async def test_orders_go_before_reads_and_reads_before_history(calls):
    worker = StubWorker()
    ends = [
        line_up(calls, "history", Priority.HISTORY),
        line_up(calls, "read", Priority.READ),
        line_up(calls, "order", Priority.ORDER),
    ]

    serving = asyncio.create_task(calls.serve(worker))
    await asyncio.gather(*ends)
    serving.cancel()

    assert worker.did == ["order", "read", "history"]


async def test_the_worker_has_one_call_at_a_time(calls):
    class CountingWorker(StubWorker):
        has, most = 0, 0

        def give(self, job, finish):
            self.has += 1
            self.most = max(self.most, self.has)
            super().give(job, lambda done: (self.done(), finish(done)))

        def done(self):
            self.has -= 1

    worker, ends = CountingWorker(), [line_up(calls, "read") for _ in range(3)]

    serving = asyncio.create_task(calls.serve(worker))
    await ends[0]
    ends += [line_up(calls, "later") for _ in range(2)]
    await asyncio.gather(*ends)
    serving.cancel()

    assert (len(worker.did), worker.most) == (5, 1)


async def test_a_refusal_by_the_package_is_failed_with_its_last_error(calls):
    end = line_up(calls, "refused")
    serving = asyncio.create_task(calls.serve(StubWorker()))

    ending = await end
    serving.cancel()

    assert (ending.outcome, ending.fault.code, ending.fault.text) == ("failed", -2, "Invalid")


@pytest.mark.parametrize(("call", "raised"), [("hangs", WorkerHangs), ("ends", WorkerGone)])
async def test_a_call_without_an_answer_is_unknown(calls, call, raised):
    end = line_up(calls, call, within_s=0.01)

    with pytest.raises(raised):
        await calls.serve(StubWorker())

    assert (await end).outcome == "unknown"


async def test_a_call_that_was_never_handed_over_is_not_sent(calls):
    end, worker = line_up(calls, "late", within_s=0.01), StubWorker()

    assert (await end).outcome == "not_sent"

    serving = asyncio.create_task(calls.serve(worker))
    await line_up(calls, "read")
    serving.cancel()
    assert worker.did == ["read"]


async def test_a_running_call_whose_service_is_cut_off_is_unknown(calls):
    end = line_up(calls, "hangs")
    serving = asyncio.create_task(calls.serve(StubWorker()))
    await asyncio.sleep(0)  # the worker has it
    await asyncio.sleep(0)

    serving.cancel()

    assert (await end).outcome == "unknown"


async def test_closing_refuses_what_waits(calls):
    end = line_up(calls, "read")

    calls.close("stopping")

    assert (await end).outcome == "not_sent"
    assert (await line_up(calls, "read")).fault.text == "stopping"


async def test_a_full_line_refuses_one_more(calls):
    for _ in range(4):
        line_up(calls, "read")

    assert (await line_up(calls, "read")).outcome == "not_sent"


async def test_calls_of_a_sidecar_that_left_are_never_made(calls):
    gone, worker = object(), StubWorker()
    line_up(calls, "order", Priority.ORDER, owner=gone)

    calls.drop(gone)

    serving = asyncio.create_task(calls.serve(worker))
    await line_up(calls, "read")
    serving.cancel()
    assert worker.did == ["read"]


async def test_a_call_whose_deadline_passed_while_the_machine_stood_still_is_never_begun(calls):
    class SlowWorker(StubWorker):
        def give(self, job, finish):
            self.did.append(job.call)
            asyncio.get_running_loop().call_soon(time.sleep, 0.05)  # past the other's deadline
            asyncio.get_running_loop().call_soon(finish, Done(ok=True))

    worker = SlowWorker()
    first = line_up(calls, "read")
    late = line_up(calls, "order", within_s=0.02)

    serving = asyncio.create_task(calls.serve(worker))
    endings = await asyncio.gather(first, late)
    serving.cancel()

    assert [ending.outcome for ending in endings] == ["done", "not_sent"]
    assert worker.did == ["read"]


async def test_a_call_that_the_worker_did_not_make_is_not_sent(calls):
    class WrongAccount(StubWorker):
        def give(self, job, finish):
            done = Done(ok=False, made=False, code=0, text="another account")
            asyncio.get_running_loop().call_soon(finish, done)

    end = line_up(calls, "order_send", Priority.ORDER)
    serving = asyncio.create_task(calls.serve(WrongAccount()))

    ending = await end
    serving.cancel()

    assert (ending.outcome, ending.fault.text) == ("not_sent", "another account")
