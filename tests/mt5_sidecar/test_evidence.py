# SPDX-License-Identifier: Apache-2.0
"""Sidecar, agent and simulator: what each test server looks like to the operator.

The four servers must not be taken for each other: one of them says "this broker refuses Wine",
and moves accounts.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from operator_caller import internal_state, jwks
from real_agent import RealAgent
from sidecar_rig import Rig

from mt5_agent import protocol
from mt5_sidecar.terminal.evidence import FILE_NAME

STEADY_S = 4.0  # longer than -WineBlocked leaves an account alone, shorter than -DropsLink does
PATIENCE_S = 60.0

Watch = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def watch(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Starts an account on a test server, on a platform."""
    agents: list[RealAgent] = []

    async def start(server: str, platform: str = "Linux") -> Rig:
        rig = await rig_with(server=server, platform=platform, evidence_steady_s=STEADY_S)
        rig.put("access/operator.jwks.json", jwks())
        agents.append(RealAgent(rig, tmp_path / "terminal", platform=platform))
        await agents[-1].start()
        return rig

    yield start
    for agent in agents:
        await agent.stop()


async def evidence_when(rig: Rig, so: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the evidence once it is so, as the operator reads it."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        rig.look()
        seen: dict[str, Any] = (await internal_state(rig))["evidence"]
        if so(seen):
            return seen
        assert time.monotonic() < end_s, seen
        await asyncio.sleep(0.1)


async def test_a_broker_that_kicks_wine(watch: Watch) -> None:
    rig = await watch("Simulator-WineBlocked")

    seen = await evidence_when(rig, lambda e: e["reasons"].get("PlatformRejected"))

    assert seen["drops"] >= 5
    assert seen["authorised_then_lost"] >= 5
    assert (seen["logins"], seen["logins_refused"]) == (1, 0)
    assert seen["last_healthy"] is None
    assert seen["uptime_ratio"] < 0.8
    assert (seen["valid_data"], seen["account_flagged"]) == (True, False)
    status = (await rig.get("/api/status")).json
    assert status["reason"] in {"PlatformRejected", ""}  # kicked, or let in for two seconds


async def test_the_same_broker_leaves_windows_alone(watch: Watch) -> None:
    rig = await watch("Simulator-WineBlocked", "Windows")

    seen = await evidence_when(rig, lambda e: e["last_healthy"])

    assert (seen["platform"], seen["drops"], seen["authorised_then_lost"]) == ("Windows", 0, 0)
    assert seen["reasons"] == {}


async def test_a_link_that_drops_now_and_then(watch: Watch) -> None:
    rig = await watch("Simulator-DropsLink")

    seen = await evidence_when(rig, lambda e: e["drops"])

    assert seen["last_healthy"] is not None
    assert seen["reasons"] == {"BrokerUnreachable": 1}
    assert (seen["logins_refused"], seen["authorised_then_lost"]) == (0, 1)
    assert seen["uptime_ratio"] > 0.8


async def test_a_wrong_password(watch: Watch) -> None:
    rig = await watch("Simulator-BadPassword")

    seen = await evidence_when(rig, lambda e: e["logins_refused"])

    assert seen["reasons"] == {"BadCredentials": 1}
    assert (seen["logins"], seen["drops"], seen["authorised_then_lost"]) == (0, 0, 0)
    assert (seen["last_healthy"], seen["valid_data"]) == (None, None)
    status = (await rig.get("/api/status")).json
    assert (status["reason"], status["credentials"]) == ("BadCredentials", "Invalid")


async def test_a_broker_that_cannot_be_reached(watch: Watch) -> None:
    rig = await watch("Simulator-Unreachable")

    seen = await evidence_when(rig, lambda e: e["reasons"])

    assert set(seen["reasons"]) == {"BrokerUnreachable"}
    assert (seen["logins"], seen["logins_refused"], seen["drops"]) == (0, 0, 0)
    assert (seen["last_healthy"], seen["uptime_ratio"]) == (None, 0.0)
    assert (await rig.get("/api/status")).json["reason"] == "BrokerUnreachable"


# Of the keeper: a scripted agent is enough.


async def test_evidence_outlives_the_sidecar(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> None:
    first = await rig_with()
    await first.connected()
    first.look()
    await first.stop()

    second = await rig_with()
    second.put("access/operator.jwks.json", jwks())
    second.look()
    seen = (await internal_state(second))["evidence"]

    assert (seen["logins"], seen["drops"]) == (1, 0)
    kept = json.loads((tmp_path / "journal" / FILE_NAME).read_bytes())
    assert kept["seen"]["logins"] == 1


async def test_a_kick_is_on_disk_before_the_sidecar_ends(bridge: Rig) -> None:
    file = bridge.settings.journal_dir / FILE_NAME

    def drops() -> int:
        buckets = json.loads(file.read_bytes())["buckets"] if file.exists() else []
        return sum(bucket.get("counts", {}).get("drops", 0) for bucket in buckets)

    bridge.agent.send(
        protocol.State(state="Disconnected", evidence=protocol.Evidence(logins=1, drops=1))
    )

    end_s = time.monotonic() + PATIENCE_S
    while not drops():
        assert time.monotonic() < end_s
        bridge.look()
        await asyncio.sleep(0.01)


def another_record(**differs: Any) -> bytes:
    """Return a file that is another account's, or of another time, and full of kicks."""
    now_ms = time.time_ns() // 1_000_000
    own = {"login": 10001, "server": "Simulator-Demo", "platform": "Linux", "begun_ms": now_ms}
    bucket = {"begin_ms": now_ms, "counts": {"drops": 9}}
    return msgspec.json.encode({**own, "buckets": [bucket], **differs})


async def test_a_file_of_this_account_is_believed(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / FILE_NAME).write_bytes(another_record())

    rig = await rig_with()
    rig.put("access/operator.jwks.json", jwks())
    rig.look()

    assert (await internal_state(rig))["evidence"]["drops"] == 9


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"version": 2}',
        b"\xff\xfe",
        another_record(login=9),
        another_record(server="Other"),
        another_record(platform="Windows"),  # a volume that came along from the other platform
        another_record(version=2),
    ],
)
async def test_a_file_that_is_damaged_or_anothers_is_not_believed(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / FILE_NAME).write_bytes(content)

    rig = await rig_with()
    rig.put("access/operator.jwks.json", jwks())
    rig.look()

    seen = (await internal_state(rig))["evidence"]
    assert seen["drops"] == 0
    assert seen["since"] > "2020"


async def test_rights_that_the_broker_took_away_flag_the_account(bridge: Rig) -> None:
    bridge.put("access/operator.jwks.json", jwks())
    account = bridge.agent.account
    able = msgspec.structs.replace(account, trade_allowed=True, trade_expert=True)
    barred = msgspec.structs.replace(able, trade_expert=False)

    bridge.agent.shows("account", able)
    bridge.agent.shows("account", barred)

    await evidence_when(bridge, lambda e: e["account_flagged"])


async def test_a_disk_that_refuses_costs_the_file_and_nothing_else(bridge: Rig) -> None:
    bridge.put("access/operator.jwks.json", jwks())
    file = bridge.settings.journal_dir / FILE_NAME
    file.unlink(missing_ok=True)
    (file / "in-the-way").mkdir(parents=True)

    bridge.agent.send(
        protocol.State(state="Connected", evidence=protocol.Evidence(logins=1, drops=3))
    )

    seen = await evidence_when(bridge, lambda e: e["drops"])
    assert seen["drops"] == 3
    assert (await bridge.ops("/healthz")).status == 200
