# SPDX-License-Identifier: Apache-2.0
"""A sidecar's last word stands until it was silent several times in a row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cluster.waiting import patience_s
from mt5_operator.errors import SidecarUnreachable
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.sidecars.client import Target
from mt5_operator.sidecars.watcher import Watcher
from mt5_operator.status.seen import OrdersSeen, SidecarSeen

KEY, POD = Key("team", "demo-a-0"), Target("uid-1", "10.0.0.1")
WELL = SidecarSeen("Connected", credentials="Valid", orders=OrdersSeen(1, active=True))
MISSES = 3


class Account:
    """One pod's sidecar, which answers as it is told to, and a watcher that looks without pause."""

    def __init__(self) -> None:
        settings = Settings(
            sidecar_misses=MISSES,
            sidecar_poll_s=0.001,
            sidecar_poll_connected_s=0.001,
            sidecar_pollers=1,
        )
        self.answers: Any = WELL
        self.looks = 0
        self.changes = 0
        told: Any = self
        self.watcher = Watcher(told, settings, changed=self._changed)

    async def state(self, _: Target) -> SidecarSeen:
        self.looks += 1
        answer = self.answers(self.looks) if callable(self.answers) else self.answers
        if answer is None:
            raise SidecarUnreachable("no answer in time")
        assert isinstance(answer, SidecarSeen)
        return answer

    def said(self, target: Target = POD, *, ready: bool = True) -> SidecarSeen | None:
        return self.watcher.watch(KEY, target, ready=ready)

    async def looked(self, more: int) -> None:
        """Wait for so many more looks, the last of them taken in."""
        wanted = self.looks + more + 1
        await self.until(lambda: self.looks >= wanted)

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(patience_s(5)):
            while not claim():  # noqa: ASYNC110 - the claim is about several things
                await asyncio.sleep(0.001)

    def _changed(self, _: Key) -> None:
        self.changes += 1


@asynccontextmanager
async def looked_at(account: Account) -> AsyncIterator[None]:
    account.said()
    looking = asyncio.ensure_future(account.watcher.run())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    found = Account()
    async with looked_at(found):
        yield found


async def test_looks_that_miss_now_and_then_change_nothing(account: Account) -> None:
    account.answers = lambda look: WELL if look % MISSES == 0 else None
    await account.until(lambda: account.said() is not None)
    changes = account.changes

    await account.looked(10 * MISSES)

    assert account.said() == WELL
    assert account.changes == changes


async def test_a_sidecar_that_stays_silent_is_told_of(account: Account) -> None:
    await account.until(lambda: account.said() == WELL)

    account.answers, before = None, account.looks
    await account.until(lambda: account.said() != WELL)

    silent = account.said()
    assert silent is not None
    assert silent.error
    # One more may have been on its way.
    assert MISSES <= account.looks - before <= MISSES + 1


async def test_a_silent_sidecar_that_answers_again_is_well_at_once(account: Account) -> None:
    account.answers = None
    await account.until(lambda: account.said() is not None)

    account.answers, before = WELL, account.looks
    await account.until(lambda: account.said() == WELL)

    assert account.looks - before <= 2


async def test_a_new_leader_does_not_judge_by_its_first_look() -> None:
    account = Account()
    account.answers = lambda look: None if look < MISSES else WELL

    async with looked_at(account):
        await account.until(lambda: account.said() == WELL)

    assert account.changes == 1


async def test_what_another_pod_said_does_not_stand(account: Account) -> None:
    await account.until(lambda: account.said() == WELL)
    account.answers = None

    assert account.said(Target("uid-2", "10.0.0.2")) is None
