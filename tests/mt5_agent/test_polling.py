# SPDX-License-Identifier: Apache-2.0
"""The one poll: as often as it is set, and for ever."""

import asyncio
import time

import pytest

from mt5_agent.board import Board
from mt5_agent.calls import Ending
from mt5_agent.poller import Poller
from mt5_agent.report import Report
from mt5_agent.settings import Settings, load
from mt5_agent.wanted import Wanted


class Terminal:
    """Answers no call; notes when which was made."""

    def __init__(self):
        self.asked = []
        self._more = asyncio.Condition()

    async def ask(self, job, _priority, *, within_s):
        async with self._more:
            self.asked.append((job.call, time.monotonic()))
            self._more.notify_all()
        return Ending("failed" if len(self.asked) % 2 else "unknown")

    def times(self, call):
        return [at for name, at in self.asked if name == call]

    async def until(self, call, count):
        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(lambda: len(self.times(call)) >= count)


@pytest.fixture
def terminal():
    return Terminal()


def poller(terminal, **settings):
    return Poller(
        calls=terminal,
        board=Board(lambda: None),
        report=Report(backend="simulator", platform="Linux", changed=lambda: None),
        wanted=Wanted(),
        settings=Settings(backend="simulator", **settings),
        link_moved=lambda _: None,
    )


async def test_polls_that_fail_are_made_again_and_again(terminal):
    running = asyncio.create_task(poller(terminal, poll_interval_s=0.01).run())

    await terminal.until("positions_get", 10)

    assert not running.done()
    running.cancel()


async def test_account_positions_and_orders_are_looked_at_once_an_interval(terminal):
    running = asyncio.create_task(poller(terminal, poll_interval_s=0.05).run())

    await terminal.until("positions_get", 6)
    running.cancel()

    for call in ("positions_get", "orders_get"):
        times = terminal.times(call)[:6]
        assert times[-1] - times[0] >= 5 * 0.05 - 0.01  # never more often than that


def test_the_interval_is_half_a_second_and_can_be_another():
    told = {"MT5_AGENT_BACKEND": "simulator"}

    assert load(told).poll_interval_s == 0.5
    assert load(told | {"MT5_AGENT_POLL_INTERVAL_S": "1"}).poll_interval_s == 1
