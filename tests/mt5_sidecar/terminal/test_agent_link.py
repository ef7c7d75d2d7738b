# SPDX-License-Identifier: Apache-2.0
import asyncio
import base64
import json
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from scripted_agent import PASSWORD, done, failed
from sidecar_rig import Rig, eventually

from cluster.waiting import patience_s
from mt5_agent import protocol
from mt5_sidecar import __version__
from mt5_sidecar.errors import TerminalRefused, TerminalTimeout, TerminalUnavailable


async def test_an_agent_with_the_token_is_logged_in_with_the_mounted_password(rig: Rig) -> None:
    agent = await rig.connected()

    (login,) = agent.heard_of(protocol.Login)
    assert (login.login, login.server, login.password) == (10001, "Simulator-Demo", PASSWORD)
    assert login.symbols == ("EURUSD",)
    assert isinstance(agent.heard[0], protocol.Welcome)


def beside_the_token(rig: Rig) -> Path:
    return rig.settings.agent_token_file.with_name(protocol.SOCKET_NAME)


@pytest.fixture
def left_over(tmp_path: Path) -> Path:
    """The socket of a sidecar that was killed."""
    (tmp_path / "agent").mkdir()
    path = tmp_path / "agent" / protocol.SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    return path


async def test_an_agent_may_come_by_a_socket_also_where_a_killed_sidecar_left_one(
    left_over: Path, rig: Rig
) -> None:
    agent = rig.new_agent()
    agent.socket = beside_the_token(rig)

    await rig.connected(agent)

    assert agent.socket == left_over
    assert (await rig.get("/api/account")).json["stale"] is False


async def test_the_socket_asks_for_the_token_too_and_is_nobody_elses(rig: Rig) -> None:
    agent = rig.new_agent_on(rig.context.terminal.agent_port, token="wrong")
    agent.socket = beside_the_token(rig)

    await agent.connect()
    await asyncio.wait_for(agent.closed.wait(), patience_s(5))

    assert [type(message) for message in agent.heard] == [protocol.Goodbye]
    assert agent.socket.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) == 0


async def test_an_agent_of_the_port_takes_the_place_of_one_of_the_socket(rig: Rig) -> None:
    by_socket, by_port = rig.new_agent(), rig.new_agent()
    by_socket.socket = beside_the_token(rig)
    await rig.connected(by_socket)

    await by_port.connect()

    await asyncio.wait_for(by_socket.closed.wait(), patience_s(5))
    await eventually(lambda: by_port.heard_of(protocol.Login))


async def test_where_no_socket_can_be_made_agents_come_by_the_port(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> None:
    token = tmp_path / ("longer than the name of a socket may be" * 3) / "token"
    rig = await rig_with(agent_token_file=token)

    agent = rig.new_agent_on(rig.context.terminal.agent_port, token=token.read_text())
    await rig.connected(agent)

    assert not beside_the_token(rig).exists()


@pytest.mark.parametrize("token", ["", "wrong", "x" * 3000])
async def test_an_agent_with_another_token_gets_a_goodbye_and_no_password(
    rig: Rig, token: str
) -> None:
    agent = rig.new_agent_on(rig.context.terminal.agent_port, token=token)

    await agent.connect()
    await asyncio.wait_for(agent.closed.wait(), patience_s(5))

    assert [type(message) for message in agent.heard] == [protocol.Goodbye]
    assert rig.context.terminal.connection.state == "AgentMissing"


async def test_an_agent_without_a_common_version_is_told_which_are_spoken(rig: Rig) -> None:
    agent = rig.new_agent()

    await agent.connect(version=99, oldest=98)
    await asyncio.wait_for(agent.closed.wait(), patience_s(5))

    (goodbye,) = agent.heard_of(protocol.Goodbye)
    assert "no common version" in goodbye.reason


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8, b"\x01\x00\x00\x00x"])
async def test_nonsense_ends_its_connection_and_harms_nobody(bridge: Rig, nonsense: bytes) -> None:
    port = bridge.context.terminal.agent_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(nonsense)
    await asyncio.wait_for(reader.read(), patience_s(5))
    writer.close()

    assert (await bridge.get("/api/account")).json["stale"] is False


async def test_a_newer_agent_replaces_the_older(bridge: Rig) -> None:
    older = bridge.agent

    await bridge.connected()
    await asyncio.wait_for(older.closed.wait(), patience_s(5))

    assert older.heard_of(protocol.Goodbye)
    assert bridge.context.terminal.connection.connected


async def test_an_agent_that_comes_back_is_logged_in_again(bridge: Rig) -> None:
    await bridge.agent.stop()
    await eventually(lambda: bridge.context.terminal.connection.state == "AgentMissing")
    assert (await bridge.ops("/readyz")).status == 503

    await bridge.connected()

    assert (await bridge.ops("/readyz")).status == 200
    assert (await bridge.get("/api/account")).json["stale"] is False


async def test_the_token_is_for_this_user_and_group_only(rig: Rig) -> None:
    mode = (rig.folder / "agent/token").stat().st_mode

    assert mode & 0o137 == 0


async def test_calls_are_answered_in_any_order(bridge: Rig) -> None:
    held: list[protocol.Request] = []

    def hold(request: protocol.Request) -> None:
        held.append(request)

    bridge.agent.replies["symbols_total"] = hold
    calls = [asyncio.create_task(bridge.context.terminal.call("symbols_total")) for _ in range(3)]
    await eventually(lambda: len(held) == 3)
    for number, request in reversed(list(enumerate(held))):
        bridge.agent.send(done(request, number))

    assert await asyncio.gather(*calls) == [0, 1, 2]


async def test_no_more_calls_are_in_flight_than_the_agent_takes(bridge: Rig) -> None:
    held: list[protocol.Request] = []
    bridge.agent.replies["symbols_total"] = lambda request: held.append(request)  # type: ignore[func-returns-value]

    calls = [asyncio.create_task(bridge.context.terminal.call("symbols_total")) for _ in range(20)]
    await eventually(lambda: len(held) == 8)
    await bridge.get("/api/health")
    assert len(held) == 8
    for number in range(20):
        await eventually(lambda number=number: len(held) > number)
        bridge.agent.send(done(held[number], 1))

    assert await asyncio.gather(*calls) == [1] * 20


async def test_a_late_answer_is_nobodys(rig: Rig) -> None:
    object.__setattr__(rig.settings, "call_timeout_s", 0.01)
    agent = await rig.connected()
    held: list[protocol.Request] = []
    agent.replies["symbols_total"] = lambda request: held.append(request)  # type: ignore[func-returns-value]

    call = asyncio.create_task(rig.context.terminal.call("symbols_total"))
    with pytest.raises(TerminalTimeout):
        await call
    agent.send(done(held[0], 5))
    agent.replies["symbols_total"] = lambda request: done(request, 6)

    assert await rig.context.terminal.call("symbols_total") == 6


async def test_calls_in_flight_are_unknown_when_the_agent_is_lost(bridge: Rig) -> None:
    held: list[protocol.Request] = []
    bridge.agent.replies["symbols_total"] = lambda request: held.append(request)  # type: ignore[func-returns-value]
    call = asyncio.create_task(bridge.context.terminal.call("symbols_total"))
    await eventually(lambda: held)

    await bridge.agent.stop()

    with pytest.raises(TerminalTimeout):
        await call
    with pytest.raises(TerminalUnavailable):
        await bridge.context.terminal.call("symbols_total")


async def test_what_became_of_a_call_is_told_apart(bridge: Rig) -> None:
    table = {
        "failed": TerminalRefused,
        "not_sent": TerminalUnavailable,
        "unknown": TerminalTimeout,
    }
    for outcome, error in table.items():
        bridge.agent.replies["symbols_total"] = lambda request, outcome=outcome: protocol.Answer(
            id=request.id, outcome=outcome, fault=protocol.Fault(-1, "because")
        )
        with pytest.raises(error):
            await bridge.context.terminal.call("symbols_total")


async def test_a_failed_call_carries_the_packages_code(bridge: Rig) -> None:
    bridge.agent.replies["symbols_total"] = lambda request: failed(request, -2, "bad argument")

    with pytest.raises(TerminalRefused) as refused:
        await bridge.context.terminal.call("symbols_total")

    assert refused.value.extra["code"] == -2


RECORDED = json.loads((Path(__file__).parents[2] / "mt5_agent" / "frames" / "v1.json").read_bytes())


async def test_an_agent_of_the_version_before_serves_this_sidecar(rig: Rig) -> None:
    """Frames as the older code wrote them; only the token is this pod's."""
    hello, *rest = [
        msgspec.msgpack.decode(base64.b64decode(r["frame"])[4:]) for r in RECORDED["from_agent"]
    ]
    hello["token"] = (rig.folder / "agent/token").read_text()
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.context.terminal.agent_port)
    for message in (hello, rest[1], *rest[3:7]):  # Connected, and one snapshot of each kind
        writer.write(protocol.encode(message))
    body = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little"))
    assert protocol.decode_from_sidecar(body) == protocol.Welcome(version=1, sidecar=__version__)

    await eventually(lambda: rig.context.terminal.connection.connected)
    await eventually(lambda: rig.context.board.version("tick_data"))

    assert b'"balance":10000' in (await rig.get("/api/account")).body
    writer.close()
    await writer.wait_closed()


async def test_a_large_answer_comes_in_parts_and_a_call_gets_it_whole(bridge: Rig) -> None:
    agent, calls = bridge.agent, bridge.context.terminal
    agent.replies["copy_ticks_from"] = lambda _: None
    asked = asyncio.ensure_future(calls.call("copy_ticks_from", "EURUSD", 1, 2, -1))
    await eventually(lambda: agent.heard_of(protocol.Request)[-1].call == "copy_ticks_from")
    number = agent.heard_of(protocol.Request)[-1].id
    columns = {"time": list(range(200_000))}
    raw = msgspec.Raw(msgspec.msgpack.encode(columns))

    agent.send(protocol.Part(id=number + 1000, data=b"of a call that nobody waits for"))
    for message in protocol.cut(protocol.Answer(id=number, outcome="done", result=raw), 2):
        agent.send(message)

    assert await asked == columns


async def test_an_answer_with_a_part_missing_ends_the_connection_and_is_unknown(
    bridge: Rig,
) -> None:
    agent, calls = bridge.agent, bridge.context.terminal
    agent.replies["copy_ticks_from"] = lambda _: None
    asked = asyncio.ensure_future(calls.call("copy_ticks_from", "EURUSD", 1, 2, -1))
    await eventually(lambda: agent.heard_of(protocol.Request)[-1].call == "copy_ticks_from")
    number = agent.heard_of(protocol.Request)[-1].id

    agent.send(protocol.Part(id=number, data=b"\x80"))
    agent.send(protocol.Answer(id=number, outcome="done", parts=2))

    with pytest.raises(TerminalTimeout):
        await asked
    await eventually(agent.closed.is_set)


async def test_calls_that_waited_for_a_place_were_not_made_when_the_agent_is_lost(
    bridge: Rig,
) -> None:
    held: list[protocol.Request] = []
    bridge.agent.replies["symbols_total"] = lambda request: held.append(request)  # type: ignore[func-returns-value]
    calls = [asyncio.create_task(bridge.context.terminal.call("symbols_total")) for _ in range(10)]
    await eventually(lambda: len(held) == 8)

    await bridge.agent.stop()
    ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), patience_s(5))

    assert [type(end) for end in ends] == [TerminalTimeout] * 8 + [TerminalUnavailable] * 2


async def test_a_call_that_waited_for_its_place_until_its_deadline_was_not_made(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mt5_sidecar.terminal.session.ANSWER_SLACK_S", 0.1)
    held: list[protocol.Request] = []
    bridge.agent.replies["symbols_total"] = lambda request: held.append(request)  # type: ignore[func-returns-value]
    terminal = bridge.context.terminal
    calls = [asyncio.create_task(terminal.call("symbols_total")) for _ in range(8)]
    await eventually(lambda: len(held) == 8)
    object.__setattr__(bridge.settings, "call_timeout_s", 0.1)

    with pytest.raises(TerminalUnavailable, match="before the agent could be asked"):
        await terminal.call("order_send", {"action": 1})

    assert not [r for r in bridge.agent.heard_of(protocol.Request) if r.call == "order_send"]
    for call in calls:
        call.cancel()


async def test_an_agent_that_falls_silent_is_given_up(rig: Rig) -> None:
    object.__setattr__(rig.settings, "agent_silence_timeout_s", 0.05)
    agent = await rig.connected()

    await asyncio.wait_for(agent.closed.wait(), patience_s(5))

    assert agent.heard_of(protocol.Goodbye)[-1].reason == "nothing was heard for 0.05 s"
    await eventually(lambda: rig.context.terminal.connection.state == "AgentMissing")


async def test_a_break_that_was_over_before_it_was_told_is_a_break(rig: Rig) -> None:
    """Whoever looks for an order believes in its absence on an unbroken connection only."""
    agent = await rig.connected()
    terminal = rig.context.terminal
    agent.says("Connected", since_ms=1)
    await eventually(lambda: terminal._agent is not None and terminal._agent.since_ms == 1)
    terminal.since_ms = 5
    agent.says("Connected", since_ms=1, utc_offset_s=0)
    await eventually(lambda: terminal.connection.utc_offset_s == 0)
    assert terminal.since_ms == 5

    agent.says("Connected", since_ms=2)

    await eventually(lambda: terminal.since_ms > 5)
