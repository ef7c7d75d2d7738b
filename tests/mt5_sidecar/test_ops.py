# SPDX-License-Identifier: Apache-2.0
import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from sidecar_rig import Rig, closed, eventually

from mt5_agent import protocol

RigWith = Callable[..., Awaitable[Rig]]


async def test_ready_means_connected(rig: Rig) -> None:
    before = await rig.ops("/readyz")
    await rig.connected()

    assert (before.status, before.json["reason"]) == (503, "AgentMissing")
    assert (await rig.ops("/readyz")).status == 200
    rig.agent.says("Disconnected", "BrokerUnreachable")
    await eventually(lambda: not rig.context.terminal.connection.connected)
    after = await rig.ops("/readyz")
    assert (after.status, after.json["reason"]) == (503, "BrokerUnreachable")


async def test_alive_means_our_own_loop_and_never_the_broker(rig: Rig) -> None:
    assert (await rig.ops("/healthz")).status == 200

    rig.context.pulse.at_s -= rig.settings.file_poll_interval_s + 11

    assert (await rig.ops("/healthz")).status == 500


async def test_a_loop_may_be_silent_as_long_as_is_set_and_beyond_the_wait_between_two_looks(
    rig: Rig,
) -> None:
    """Whoever has the files looked at each half minute does not want the container ended for it."""
    rig.put("access/mt5_bridge.yaml", "loop_silence_timeout_s: 60\n")
    await rig.reloads()
    between_s = rig.settings.file_poll_interval_s

    rig.context.pulse.at_s -= between_s + 50
    crowded = await rig.ops("/healthz")
    rig.context.pulse.at_s -= 20
    dead = await rig.ops("/healthz")

    assert (crowded.status, dead.status) == (200, 500)


async def test_a_503_that_knows_nothing_better_says_to_come_again_after_what_is_set(
    rig: Rig,
) -> None:
    default = [await rig.get("/api/account"), await rig.ops("/readyz")]
    rig.put("access/mt5_bridge.yaml", "retry_after_s: 30\n")
    await rig.reloads()
    later = [await rig.get("/api/account"), await rig.ops("/readyz")]

    assert [answer.status for answer in (*default, *later)] == [503] * 4
    told = [answer.headers["Retry-After"] for answer in (*default, *later)]
    assert told == ["2", "2", "30", "30"]


async def test_a_request_in_progress_holds_no_end_up_for_longer_than_is_set(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(request_stop_timeout_s=0.05)
    agent = await rig.connected()
    agent.replies["symbols_get"] = lambda _: None
    asking = asyncio.create_task(rig.get("/api/symbols"))
    await eventually(lambda: any(r.call == "symbols_get" for r in agent.heard_of(protocol.Request)))

    async with asyncio.timeout(4):  # less than the default would take
        await rig.sidecar.stop()

    await asyncio.gather(asking, return_exceptions=True)


async def test_operations_are_not_on_the_api_port_nor_the_api_on_theirs(bridge: Rig) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/internal/state"):
        assert (await bridge.get(path)).status == 404
    for path in ("/api/account", "/ws"):
        assert (await bridge.ops(path)).status == 404


async def test_metrics_count_by_route_and_never_by_path(bridge: Rig) -> None:
    await bridge.get("/api/symbols/EURUSD")
    await bridge.get("/secret/scanner/path")

    text = (await bridge.ops("/metrics")).body.decode()

    routes = set(re.findall(r'route="([^"]+)"', text))
    assert {"/api/symbols/{symbol}", "none"} <= routes
    assert "scanner" not in text
    assert "mt5_sidecar_connected 1.0" in text


async def test_a_scanners_methods_are_no_labels(bridge: Rig) -> None:
    await bridge.request("BREW", "/api/account")

    assert 'method="BREW"' not in (await bridge.ops("/metrics")).body.decode()


async def test_a_stopping_sidecar_is_not_ready_and_opens_no_stream(bridge: Rig) -> None:
    bridge.context.sockets.draining = True

    assert (await bridge.ops("/readyz")).problem == "/problems/draining"
    answer = await bridge.get("/ws", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert (answer.status, answer.problem) == (503, "/problems/draining")


async def test_the_housekeeper_survives_a_fault(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(bridge.settings, "file_poll_interval_s", 0.001)
    looks = iter([ZeroDivisionError(), None, None])
    seen: list[int] = []

    def look() -> None:
        seen.append(1)
        if fault := next(looks, None):
            raise fault

    monkeypatch.setattr(bridge.sidecar.housekeeping, "look", look)
    keeper = asyncio.create_task(bridge.sidecar.housekeeping.run())
    await eventually(lambda: len(seen) > 2)
    keeper.cancel()

    assert not keeper.done()
    socket = await bridge.ws()
    await bridge.sidecar.stop()
    assert (await closed(socket))[0] == 1012
