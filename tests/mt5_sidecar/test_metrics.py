# SPDX-License-Identifier: Apache-2.0
"""What Prometheus is told of requests, calls, snapshots and streams."""

import re

import pytest
from account_records import position, symbol_info
from sidecar_rig import Rig, eventually, heard

from mt5_agent import protocol


async def metric(rig: Rig, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    text = (await rig.ops("/metrics")).body.decode()
    samples = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    return sum(float(value) for held, value in samples if wanted <= set(held.split(",")))


async def test_answers_are_counted_and_timed_by_route_method_and_status(bridge: Rig) -> None:
    for _ in range(3):
        await bridge.get("/api/account")
    await bridge.get("/api/account", key="nobody")

    name = "mt5_sidecar_http_request_seconds"
    account = {"route": "/api/account", "method": "GET"}
    assert await metric(bridge, f"{name}_count", **account, status="200") == 3
    assert await metric(bridge, f"{name}_count", **account, status="401") == 1
    assert await metric(bridge, f"{name}_sum", **account) > 0
    assert await metric(bridge, f"{name}_bucket", **account, status="200", le="10.0") == 3


async def test_no_series_tells_only_when_a_counter_began(bridge: Rig) -> None:
    await bridge.get("/api/account")

    text = (await bridge.ops("/metrics")).body.decode()

    assert "mt5_sidecar_http_request_seconds_count" in text
    assert "_created" not in text


async def test_open_streams_are_a_gauge_that_falls_when_they_close(bridge: Rig) -> None:
    name = "mt5_sidecar_ws_clients"
    assert await metric(bridge, name) == 0
    sockets = [await bridge.ws() for _ in range(3)]
    for socket in sockets:
        await heard(socket, "snapshot")
    assert await metric(bridge, name) == 3

    await sockets[0].close()
    sockets[1].transport.abort()

    await eventually(lambda: len(bridge.context.sockets) == 1)
    assert await metric(bridge, name) == 1


async def test_messages_to_and_from_streams_are_counted_by_type(bridge: Rig) -> None:
    socket = await bridge.ws()
    await heard(socket, "snapshot")
    bridge.agent.shows("positions", [position(1)])
    await heard(socket, "positions")
    await socket.send('{"type": "heartbeat"}')
    await heard(socket, "heartbeat_response")

    for type_ in ("welcome", "snapshot", "positions", "heartbeat_response"):
        assert await metric(bridge, "mt5_sidecar_ws_messages_total", type=type_) == 1, type_
    heartbeats = {"type": "heartbeat", "outcome": "done"}
    assert await metric(bridge, "mt5_sidecar_ws_commands_total", **heartbeats) == 1
    seconds = "mt5_sidecar_ws_command_seconds"
    assert await metric(bridge, f"{seconds}_count", type="heartbeat") == 1
    assert await metric(bridge, f"{seconds}_sum", type="heartbeat") > 0
    # One when it joined, and one of the positions at least.
    assert await metric(bridge, "mt5_sidecar_ws_flush_seconds_count") >= 2


async def test_watched_symbols_are_those_of_the_spec_and_of_streams(bridge: Rig) -> None:
    name = "mt5_sidecar_watched_symbols"
    assert await metric(bridge, name) == 1

    bridge.agent.symbols["XAUUSD"] = symbol_info("XAUUSD")
    socket = await bridge.ws("/ws?symbols=EURUSD,XAUUSD")
    await heard(socket, "snapshot")
    assert await metric(bridge, name) == 2

    await socket.close()
    await eventually(lambda: not bridge.context.sockets)
    assert await metric(bridge, name) == 1


async def test_calls_of_the_terminal_are_timed_by_function_and_outcome(bridge: Rig) -> None:
    done = {"call": "symbol_info", "outcome": "done"}
    before = await metric(bridge, "mt5_sidecar_agent_call_seconds_count", **done)

    await bridge.get("/api/symbols/EURUSD")

    assert await metric(bridge, "mt5_sidecar_agent_call_seconds_count", **done) == before + 1
    assert await metric(bridge, "mt5_sidecar_agent_call_seconds_sum", **done) > 0


async def test_the_agents_own_looks_are_timed_by_what_was_asked(bridge: Rig) -> None:
    name = "mt5_poll_duration_seconds"
    assert await metric(bridge, f"{name}_count") == 0

    looks = {"positions_get": (1_500, 250_000), "ticks": (900,), "what_a_later_agent_asks": (1,)}
    bridge.agent.send(protocol.State(state="Connected", login_id=1, polls=looks))
    await eventually(lambda: bridge.context.metrics.agent.polls.labels("ticks")._sum.get() > 0)

    assert await metric(bridge, f"{name}_count", call="positions_get") == 2
    assert await metric(bridge, f"{name}_sum", call="positions_get") == pytest.approx(0.2515)
    assert await metric(bridge, f"{name}_bucket", call="positions_get", le="0.0025") == 1
    # Label values come from a closed set, whatever is on the wire.
    assert await metric(bridge, f"{name}_count") == 3


async def test_snapshots_and_the_connection_are_told(bridge: Rig) -> None:
    kinds = ("account", "positions", "orders", "ticks")
    for kind in kinds:
        assert await metric(bridge, "mt5_sidecar_snapshots_total", kind=kind) >= 1, kind
    assert await metric(bridge, "mt5_sidecar_connected") == 1
    assert await metric(bridge, "mt5_sidecar_stale") == 0

    bridge.agent.says("Disconnected", "BrokerUnreachable")
    await eventually(lambda: not bridge.context.terminal.connection.connected)

    assert await metric(bridge, "mt5_sidecar_connected") == 0
    assert await metric(bridge, "mt5_sidecar_stale") == 1
    assert await metric(bridge, "process_resident_memory_bytes") > 0
