# SPDX-License-Identifier: Apache-2.0
"""The loop around a log-in where no worker can be started."""

import asyncio
from types import SimpleNamespace

import pytest

from cluster.waiting import patience_s
from mt5_agent.pipe import Done
from mt5_agent.protocol import Login
from mt5_agent.report import Report
from mt5_agent.session import Session
from mt5_agent.settings import Settings
from mt5_agent.wanted import Wanted
from mt5_agent.workers import WorkerGone, WorkerProcess

NO_PIPE = Done(ok=False, code=-10003)


@pytest.mark.parametrize(("age_s", "is_gone"), [(1, False), (61, True)])
async def test_the_start_file_goes_without_a_log_in_once_the_terminal_has_surely_read_it(
    monkeypatch, age_s, is_gone
):
    attempts, forgotten = asyncio.Semaphore(0), []

    async def no_worker(_argv, *, within_s):
        assert within_s == 7
        attempts.release()
        raise WorkerGone("no first word")

    monkeypatch.setattr(WorkerProcess, "start", no_worker)
    started_s = asyncio.get_running_loop().time() - age_s
    session = Session(
        settings=Settings(
            backend="simulator", backoff_s=0.001, backoff_max_s=0.001, worker_start_timeout_s=7
        ),
        terminal=SimpleNamespace(runs=True, started_s=started_s),
        launch=SimpleNamespace(forget=lambda: forgotten.append(True)),
        wanted=Wanted(),
        calls=None,
        board=None,
        report=Report(backend="simulator", platform="Linux", changed=lambda: None),
        watch=None,
    )

    running = asyncio.create_task(session.run())
    for _ in range(3):
        await asyncio.wait_for(attempts.acquire(), patience_s(20))
    running.cancel()

    assert bool(forgotten) == is_gone


def session_of(terminal, **settings):
    return Session(
        settings=Settings(backend="simulator", **settings),
        terminal=terminal,
        launch=None,
        wanted=Wanted(),
        calls=None,
        board=None,
        report=Report(backend="simulator", platform="Linux", changed=lambda: None),
        watch=None,
    )


@pytest.mark.parametrize(("startup_s", "asked"), [(40, 1), (60, 3)])
async def test_a_terminal_is_asked_again_at_once_while_it_is_as_young_as_is_set(startup_s, asked):
    answers = iter([NO_PIPE, NO_PIPE, Done(ok=True)])
    jobs = []

    class Worker:
        async def do(self, job):
            jobs.append(job)
            return next(answers)

    terminal = SimpleNamespace(started_s=asyncio.get_running_loop().time() - 50)
    session = session_of(terminal, terminal_startup_s=startup_s)

    await session._attach(Worker(), Login(login=1, password="p", server="s", login_id=1))

    assert len(jobs) == asked


@pytest.mark.parametrize(("steady_s", "is_quick"), [(40, True), (60, False)])
async def test_the_next_log_in_is_quick_after_one_that_lasted_as_long_as_is_set(steady_s, is_quick):
    session = session_of(None, steady_s=steady_s, backoff_s=0.25)
    session._backoff.next_s()
    session._served_since_s = asyncio.get_running_loop().time() - 50

    await session._breathe()

    assert (session._backoff.next_s() < 0.4) == is_quick
