# SPDX-License-Identifier: Apache-2.0
"""The loop around a log-in where no worker can be started."""

import asyncio
from types import SimpleNamespace

import pytest

from mt5_agent.report import Report
from mt5_agent.session import Session
from mt5_agent.settings import Settings
from mt5_agent.wanted import Wanted
from mt5_agent.workers import WorkerGone, WorkerProcess


@pytest.mark.parametrize(("age_s", "is_gone"), [(1, False), (61, True)])
async def test_the_start_file_goes_without_a_log_in_once_the_terminal_has_surely_read_it(
    monkeypatch, age_s, is_gone
):
    attempts, forgotten = asyncio.Semaphore(0), []

    async def no_worker(_argv):
        attempts.release()
        raise WorkerGone("no first word")

    monkeypatch.setattr(WorkerProcess, "start", no_worker)
    started_s = asyncio.get_running_loop().time() - age_s
    session = Session(
        settings=Settings(backend="simulator", backoff_s=0.001, backoff_max_s=0.001),
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
        await asyncio.wait_for(attempts.acquire(), 20)
    running.cancel()

    assert bool(forgotten) == is_gone
