# SPDX-License-Identifier: Apache-2.0
from typing import Any

from scripted_broker import ScriptedBroker
from sidecar_rig import OWN, TRADER, Rig, api_key, eventually, heard, key_record

from mt5_agent import protocol

ADMIN = key_record("admin", accounts=["10001"], scopes=["admin"])
BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}


async def admin(rig: Rig, path: str) -> Any:
    rig.put_keys([OWN, TRADER, ADMIN])
    rig.look()
    return await rig.request("POST", path, key=api_key("admin"))


async def test_who_is_logged_out_reads_the_last_snapshot_and_does_not_trade(
    rig: Rig, broker: ScriptedBroker
) -> None:
    socket = await rig.ws()
    await heard(socket, "snapshot")

    answer = await admin(rig, "/api/disconnect")

    assert (answer.status, answer.json["state"]) == (200, "Disconnected")
    assert "an admin" in (await heard(socket, "status"))["data"]["message"]
    await eventually(lambda: broker.agent.heard_of(protocol.Logout))
    assert (await rig.get("/api/account")).json["stale"] is True
    refused = await rig.trade("POST", "/api/order", "k", json=BUY)
    assert (refused.status, refused.problem) == (503, "/problems/terminal-unavailable")
    assert (await rig.ops("/readyz")).status == 503
    assert not broker.sent


async def test_logged_out_stays_so_when_the_agent_returns_and_ends_with_connect(
    rig: Rig, broker: ScriptedBroker
) -> None:
    await admin(rig, "/api/disconnect")
    await broker.agent.stop()
    agent = rig.new_agent()
    await agent.connect()
    await eventually(lambda: agent.heard_of(protocol.Logout))
    assert not agent.heard_of(protocol.Login)

    await admin(rig, "/api/connect")

    await eventually(lambda: rig.context.terminal.connection.connected)


async def test_connect_tries_again_what_was_refused(bridge: Rig) -> None:
    bridge.agent.says("Refused", "BadCredentials")
    await eventually(lambda: not bridge.context.terminal.connection.connected)
    before = bridge.agent.login_id

    await admin(bridge, "/api/connect")

    await eventually(lambda: bridge.agent.login_id > before)
    # The agent would not try the same password again (agent-protocol.md).
    asked = [type(m) for m in bridge.agent.heard if isinstance(m, protocol.Login | protocol.Logout)]
    assert asked[-2:] == [protocol.Logout, protocol.Login]


async def test_connect_leaves_alone_what_is_connected(bridge: Rig) -> None:
    before = bridge.agent.login_id

    await admin(bridge, "/api/connect")

    await eventually(lambda: bridge.agent.login_id > before)
    assert not bridge.agent.heard_of(protocol.Logout)


async def test_to_trade_is_not_to_log_out(rig: Rig, broker: ScriptedBroker) -> None:
    answer = await rig.trade("POST", "/api/disconnect")

    assert (answer.status, answer.problem) == (403, "/problems/forbidden")
    assert not broker.agent.heard_of(protocol.Logout)
