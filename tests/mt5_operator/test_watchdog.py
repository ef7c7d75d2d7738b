# SPDX-License-Identifier: Apache-2.0
"""A leader whose Lease may be another's ends, whatever hangs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mt5_operator.cluster.lease import ApiLock
from mt5_operator.cluster.watchdog import Watchdog, margin_s
from mt5_operator.errors import ApiUnavailable
from mt5_operator.names import Key

DURATION_S = 15


class Ends:
    """The end of the process, and the time."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.now = 100.0

    def watchdog(self) -> Watchdog:
        return Watchdog(DURATION_S, clock=lambda: self.now, end=lambda: self.at.append(self.now))


class Leases:
    """An API server with one Lease; it may take its time, or not answer."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self.holder = "me"
        self.takes_s = 0.0
        self.away = False

    async def get(self, *_: Any) -> dict[str, Any]:
        spec = {"holderIdentity": self.holder, "leaseDurationSeconds": DURATION_S}
        times = dict.fromkeys(("acquireTime", "renewTime"), "2026-01-01T00:00:00.000000Z")
        return {"metadata": {"resourceVersion": "1"}, "spec": spec | times}

    async def replace(self, _: Any, manifest: dict[str, Any]) -> dict[str, Any]:
        self._ends.now += self.takes_s
        if self.away:
            raise ApiUnavailable("away")
        self.holder = manifest["spec"]["holderIdentity"]
        return {"metadata": {"resourceVersion": "2"}}


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def leases(ends: Ends) -> Leases:
    return Leases(ends)


def lock(leases: Any, watchdog: Watchdog, told: list[str] | None = None) -> ApiLock:
    def unanswered() -> None:
        if told is not None:
            told.append("unanswered")

    where = Key("ns", "lease")
    return ApiLock(leases, where, "me", timeout_s=5, watchdog=watchdog, unanswered=unanswered)


async def renew(held: ApiLock) -> None:
    found, record = await held.get("lease", "ns")
    assert found
    await held.update("lease", "ns", record)


async def test_the_process_ends_before_others_may_take_the_lease(
    ends: Ends, leases: Leases
) -> None:
    watchdog = ends.watchdog()
    held = lock(leases, watchdog)
    leases.takes_s = 4  # the Lease may count from when the request was sent
    await renew(held)
    leases.away = True
    await renew(held)

    ends.now = 100 + DURATION_S - margin_s(DURATION_S) - 0.1
    watchdog.look()
    assert ends.at == []
    ends.now += 0.2
    watchdog.look()
    assert ends.at


async def test_an_api_server_that_is_away_is_told_by_the_lease_that_is_not_renewed(
    ends: Ends, leases: Leases
) -> None:
    told: list[str] = []
    held = lock(leases, ends.watchdog(), told)
    await renew(held)
    assert told == []

    leases.away = True
    await renew(held)

    assert told


async def test_a_renewed_lease_ends_nothing(ends: Ends, leases: Leases) -> None:
    watchdog = ends.watchdog()
    held = lock(leases, watchdog)

    for _ in range(10):
        await renew(held)
        ends.now += 10
        watchdog.look()

    assert ends.at == []


async def test_a_leader_that_reads_another_holder_ends_at_once(ends: Ends, leases: Leases) -> None:
    held = lock(leases, ends.watchdog())
    await renew(held)
    leases.holder = "other"

    await held.get("lease", "ns")

    assert ends.at


async def test_a_standby_and_a_leader_that_let_go_are_left_alone(
    ends: Ends, leases: Leases
) -> None:
    watchdog = ends.watchdog()
    held = lock(leases, watchdog)
    leases.holder = "other"
    await held.get("lease", "ns")
    leases.holder = "me"
    await renew(held)
    await held.release()

    leases.holder = "other"
    await held.get("lease", "ns")
    ends.now += 1000
    watchdog.look()

    assert ends.at == []


def test_the_thread_looks_by_itself() -> None:
    ended: list[float] = []
    watchdog = Watchdog(2, end=lambda: ended.append(time.monotonic()))
    watchdog.renewed(time.monotonic() - 10)

    watchdog.start()
    time.sleep(0.05)
    watchdog.released()

    assert ended
