# SPDX-License-Identifier: Apache-2.0
"""The one line in front of the worker: orders, then reads, then history, each with its deadline.

The rule that everything else rests on: a call that was handed to the worker and did not come back
is `unknown`, one that was not handed over is `not_sent`, and nothing is ever both.
"""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from mt5_agent.pipe import Done, Job
from mt5_agent.protocol import Fault, Outcome, Priority
from mt5_agent.workers import WorkerGone, WorkerProcess


class WorkerHangs(Exception):
    """A call ran past its deadline and its patience: the worker must be killed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a call."""

    outcome: Outcome
    done: Done | None = None
    fault: Fault | None = None
    duration_us: int = 0


@dataclass(order=True, slots=True)
class _Call:
    priority: Priority
    number: int
    job: Job = field(compare=False)
    finish: Callable[[Ending], None] = field(compare=False)
    owner: object = field(compare=False)
    deadline_s: float = field(compare=False)
    timer: asyncio.TimerHandle | None = field(compare=False, default=None)
    sent_s: float = field(compare=False, default=0.0)
    over: bool = field(compare=False, default=False)

    def end(self, ending: Ending) -> None:
        if self.over:
            return  # a late answer is harmless
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
        self.finish(ending)


def _not_sent(why: str) -> Ending:
    return Ending("not_sent", fault=Fault(0, why))


def _unknown(why: str) -> Ending:
    return Ending("unknown", fault=Fault(0, why))


class Calls:
    """Waiting calls, and the one that runs. Closed at first: nobody serves it yet."""

    def __init__(self, *, most_waiting: int, patience_s: float) -> None:
        """Hold at most `most_waiting`; let a late call run for `patience_s` before its worker
        dies."""
        self._most_waiting = most_waiting
        self._patience_s = patience_s
        self._heap: list[_Call] = []
        self._count = 0
        self._running: _Call | None = None
        self._worker: WorkerProcess | None = None
        self._fault: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed: str | None = "no terminal is logged in"

    def open(self) -> None:
        """Take calls."""
        self._closed = None

    def close(self, why: str) -> None:
        """Refuse calls, those that wait included; the running one goes on."""
        self._closed = why
        waiting, self._heap = self._heap, []
        for call in waiting:
            call.end(_not_sent(why))

    def drop(self, owner: object) -> None:
        """Forget what `owner` waits for: it went away."""
        for call in self._heap:
            call.over = call.over or call.owner is owner

    async def idle(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()

    def put(
        self,
        job: Job,
        priority: Priority,
        *,
        within_s: float,
        finish: Callable[[Ending], None],
        owner: object = None,
    ) -> None:
        """Line `job` up; `finish` is called exactly once, unless `owner` is dropped."""
        if self._closed is not None:
            return finish(_not_sent(self._closed))
        if self._heap:
            self._heap = [call for call in self._heap if not call.over]
            heapq.heapify(self._heap)
        if len(self._heap) >= self._most_waiting:
            return finish(_not_sent(f"{self._most_waiting} calls wait already"))
        loop = asyncio.get_running_loop()
        self._count += 1
        call = _Call(priority, self._count, job, finish, owner, loop.time() + within_s)
        call.timer = loop.call_at(call.deadline_s, self._expire, call)
        heapq.heappush(self._heap, call)
        self._hand_over()
        return None

    async def ask(self, job: Job, priority: Priority, *, within_s: float) -> Ending:
        """Line `job` up and wait for its end."""
        future: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

        def finish(ending: Ending) -> None:
            if not future.done():
                future.set_result(ending)

        self.put(job, priority, within_s=within_s, finish=finish)
        return await future

    async def serve(self, worker: WorkerProcess) -> None:
        """Hand calls to `worker`, one at a time, until cancelled.

        Raises:
            WorkerGone: It ended.
            WorkerHangs: It must be ended.
        """
        self._fault = asyncio.get_running_loop().create_future()
        self._worker = worker
        try:
            self._hand_over()
            await self._fault
        finally:
            self._worker = None
            self._leave_running()

    def _hand_over(self) -> None:
        # From callback to callback: a task between them would cost each call a turn of the loop.
        loop = asyncio.get_running_loop()
        while self._worker is not None and self._running is None:
            call = self._next()
            if call is None:
                return
            self._running = call
            self._idle.clear()
            call.sent_s = loop.time()
            self._worker.give(call.job, partial(self._answered, call))

    def _next(self) -> _Call | None:
        while self._heap:
            call = heapq.heappop(self._heap)
            # The machine may have stood still: then its timer is as late as we are.
            if not call.over and call.deadline_s <= asyncio.get_running_loop().time():
                self._expire(call)
            if not call.over:
                return call
        return None

    def _answered(self, call: _Call, done: Done | None) -> None:
        if self._running is not call:
            return
        if done is None:
            self._break(WorkerGone())
            return
        self._running = None
        self._idle.set()
        try:
            call.end(_ending(done, asyncio.get_running_loop().time() - call.sent_s))
        finally:
            self._hand_over()

    def _hangs(self, call: _Call) -> None:
        if self._running is call:
            self._break(WorkerHangs(call.job.call))

    def _break(self, error: Exception) -> None:
        self._worker = None
        self._leave_running()
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)

    def _leave_running(self) -> None:
        call, self._running = self._running, None
        self._idle.set()
        if call is not None:
            call.end(_unknown("the worker was ended during this call"))

    def _expire(self, call: _Call) -> None:
        if not call.sent_s:
            call.end(_not_sent("the deadline passed while the call waited"))
            return
        call.end(_unknown("no answer before the deadline"))
        # One that was handed over late may run on for a while, answered or not.
        asyncio.get_running_loop().call_at(call.sent_s + self._patience_s, self._hangs, call)


def _ending(done: Done, duration_s: float) -> Ending:
    duration_us = int(duration_s * 1_000_000)
    if done.ok:
        return Ending("done", done, None, duration_us)
    if not done.made:
        return _not_sent(done.text)
    return Ending("failed", done, Fault(done.code, done.text), duration_us)
