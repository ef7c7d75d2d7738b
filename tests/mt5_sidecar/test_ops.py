# SPDX-License-Identifier: Apache-2.0
import asyncio
import re

import pytest
from sidecar_rig import Rig, closed, eventually

from mt5_sidecar.api.ops import probes


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

    rig.context.pulse.at_s -= probes.LOOP_DEAD_S + 1

    assert (await rig.ops("/healthz")).status == 500


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
