# SPDX-License-Identifier: Apache-2.0
"""Simulator, agent, sidecar, and what the operator concludes from them: nothing is a stub.

Hours are seconds here; the counts are real.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from operator_caller import internal_state, jwks
from real_agent import RealAgent
from sidecar_rig import Rig

from mt5_operator.brokers.blame import Facts
from mt5_operator.brokers.evidence import NOTHING, Evidence
from mt5_operator.brokers.review import Reviewed, review
from mt5_operator.brokers.suspicion import suspicion
from mt5_operator.brokers.tally import Sample, Tally, after
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.broker import BrokerSpec, BrokerStatus, Name, State, Verdict

PATIENCE_S = 120.0
SETTINGS = Settings(
    broker_kicks=2,
    broker_kicks_window_s=60,
    broker_suspect_s=4,
    broker_fresh_starts=2,
    broker_judged_after_s=20,
)


class Account:
    """One account on Linux, its pod, and an operator that looks at it."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self._rig, self._folder = rig, folder
        self.agent = RealAgent(rig, folder)
        self.tally: Tally | None = None
        self.found = Reviewed(BrokerStatus(), None)  # type: ignore[arg-type]

    async def look(self) -> Reviewed:
        """Look at the sidecar, and review the broker."""
        self._rig.look()
        told = await internal_state(self._rig)
        evidence = msgspec.convert(told["evidence"], Evidence)
        connected = told["state"] == "Connected"
        now = datetime.now(UTC)
        sample = Sample(Key("n", "a"), "pod", now, evidence, connected, told["reason"])
        self.tally = after(self.tally, sample, SETTINGS)
        facts = Facts(now, [self.tally], [], windows_node=True)
        self.found = review(self.found.status, BrokerSpec(servers=["*"]), facts, SETTINGS)
        self.tally = replace(self.tally, news=NOTHING)
        return self.found

    async def fresh_start(self) -> None:
        """Start a fresh terminal, as a new pod with the old volume does."""
        await self.agent.stop()
        self.agent = RealAgent(self._rig, self._folder)
        await self.agent.start()

    async def watch(self, until: Callable[[Reviewed], object], *, for_s: float) -> bool:
        """Watch until it is so, doing what reviews ask for; False if it never was."""
        end_s = time.monotonic() + for_s
        while time.monotonic() < end_s:
            found = await self.look()
            if until(found):
                return True
            if found.try_again:
                await self.fresh_start()
            await asyncio.sleep(0.3)
        return False


@pytest.fixture
async def account(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> AsyncIterator[Callable[[str], Awaitable[Account]]]:
    """Starts an account on a test server."""
    accounts: list[Account] = []

    async def start(server: str) -> Account:
        rig = await rig_with(server=server, platform="Linux", evidence_steady_s=60.0)
        rig.put("access/operator.jwks.json", jwks())
        accounts.append(Account(rig, tmp_path / "terminal"))
        await accounts[-1].agent.start()
        return accounts[-1]

    yield start
    for one in accounts:
        await one.agent.stop()


Start = Callable[[str], Awaitable[Account]]


@pytest.mark.timeout(200)
async def test_a_broker_that_kicks_wine_needs_windows(account: Start) -> None:
    one = await account("Simulator-WineBlocked")

    refused = await one.watch(
        lambda found: found.status.verdict is Verdict.REQUIRES_WINDOWS, for_s=PATIENCE_S
    )

    assert refused, one.found
    assert "again after 2 fresh starts" in one.found.status.message


@pytest.mark.timeout(200)
async def test_a_link_that_drops_is_a_bad_line_and_no_refusal(account: Start) -> None:
    one = await account("Simulator-DropsLink")

    def suspected(found: Reviewed) -> object:
        return found.try_again or found.status.verdict is Verdict.REQUIRES_WINDOWS

    def decided(found: Reviewed) -> object:
        assert one.tally is not None
        return suspected(found) or one.tally.total.kicks >= SETTINGS.broker_kicks

    assert await one.watch(decided, for_s=PATIENCE_S), one.found
    assert not await one.watch(suspected, for_s=2 * SETTINGS.broker_suspect_s), one.found
    assert one.tally is not None
    assert "a bad line" in suspicion(one.tally, SETTINGS, datetime.now(UTC)).words
    assert _state(one.found, Name.NO_DROPS) is State.FAILED


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("server", "reason"),
    [("Simulator-BadPassword", "BadCredentials"), ("Simulator-Unreachable", "BrokerUnreachable")],
)
async def test_who_never_gets_in_says_nothing_of_platforms(
    account: Start, server: str, reason: str
) -> None:
    one = await account(server)

    def told(_: Reviewed) -> Any:
        return one.tally and one.tally.last.evidence.reasons.get(reason)

    assert await one.watch(told, for_s=PATIENCE_S)
    assert not await one.watch(lambda found: found.try_again, for_s=8)
    assert one.found.status.verdict is Verdict.UNKNOWN
    assert _state(one.found, Name.CONNECTS) is State.PENDING


def _state(found: Reviewed, name: Name) -> State:
    return next(item.state for item in found.status.criteria if item.name is name)
