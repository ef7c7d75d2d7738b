# SPDX-License-Identifier: Apache-2.0
"""Streams as a client library sees them that we did not write."""

import asyncio
import json
import socket as sockets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
import websockets
from account_records import order, position, symbol_info, tick
from scripted_agent import done
from sidecar_rig import NEVER_S, OWN, Rig, api_key, closed, eventually, heard, key_record

from cluster.waiting import patience_s
from mt5_agent import protocol
from mt5_sidecar import __version__
from mt5_sidecar.api.ws import commands

RigWith = Callable[..., Awaitable[Rig]]


async def ask(socket: Any, type_: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": type_, "id": 1, **fields}))


async def test_a_client_is_welcomed_then_gets_everything_then_only_changes(bridge: Rig) -> None:
    socket = await bridge.ws()

    welcome = json.loads(await socket.recv())
    snapshot = json.loads(await socket.recv())
    bridge.agent.shows("positions", [position(1)])
    change = json.loads(await socket.recv())

    assert welcome["type"] == "welcome"
    assert welcome["data"]["account_id"] == "10001"
    assert welcome["data"]["epoch"].startswith(f"{bridge.context.board.epoch}-")
    assert welcome["data"]["limits"]["messages_per_s"] == 20
    assert snapshot["type"] == "snapshot"
    assert set(snapshot["data"]) == {
        "account_info",
        "positions",
        "orders",
        "tick_data",
        "status",
    }
    assert snapshot["data"]["account_info"]["balance"] == 10000
    assert change["type"] == "positions"
    assert [p["ticket"] for p in change["data"]["changed"]] == [1]
    assert change["seq"] > snapshot["seq"]


async def test_the_welcome_tells_status_versions_and_what_is_subscribed(bridge: Rig) -> None:
    welcome = await heard(await bridge.ws(), "welcome")

    status = welcome["data"]["status"]
    assert (status["state"], status["reason"], status["stale"]) == ("Connected", "", False)
    assert welcome["data"]["versions"] == {"api": 1, "sidecar": __version__}
    assert welcome["data"]["subscribed"]
    assert welcome["data"]["recovered"] is False


READER = {"account_info", "heartbeat", "orders", "positions", "resume", "subscribe", "tick_data"}
READER |= {"unsubscribe"}
READER |= {f"mt5_command:{n}" for n in ("account_info", "orders_get", "positions_get", "ticks")}
READER |= {"mt5_command:order_outcome"}
TRADING = {"order_send", "order_modify", "order_cancel"}
TRADING |= {"position_modify", "position_close", "position_close_by"}
TRADING = {"trading_signal", *(f"mt5_command:{name}" for name in TRADING)}


async def test_the_welcome_lists_what_the_caller_may_say(rig: Rig) -> None:
    await rig.trades()
    admin = key_record("admin", accounts=["10001"], scopes=["read", "trade", "admin"])
    rig.put_keys([OWN, admin])
    rig.look()

    reader = (await heard(await rig.ws(), "welcome"))["data"]["features"]
    everything = (await heard(await rig.ws(key=api_key("admin")), "welcome"))["data"]["features"]
    rig.put_account(enabled=False)
    rig.look()
    later = (await heard(await rig.ws(key=api_key("admin")), "welcome"))["data"]["features"]

    assert set(reader) == READER
    assert set(everything) == READER | TRADING | {"broadcast"}
    assert set(later) == READER | {"broadcast"}


def test_every_message_that_is_understood_is_a_feature() -> None:
    types = {str(type_.__struct_config__.tag) for type_ in get_args(commands.Incoming)}

    told = READER | TRADING | {"broadcast"}
    assert {name.partition(":")[0] for name in told} - {"resume"} == types - {"heartbeat_response"}


async def test_every_message_has_its_type_the_time_in_utc_and_data(bridge: Rig) -> None:
    socket = await bridge.ws()
    bridge.agent.shows("positions", [position(1)])
    await ask(socket, "account_info")

    heard_of = set()
    while heard_of < {"welcome", "snapshot", "positions", "account_info_processed"}:
        message = json.loads(await asyncio.wait_for(socket.recv(), patience_s(5)))
        assert datetime.fromisoformat(message["timestamp"]).utcoffset() == timedelta(0)
        assert isinstance(message["data"], dict)
        heard_of.add(message["type"])


async def test_a_closed_position_is_told_as_removed(bridge: Rig) -> None:
    bridge.agent.shows("positions", [position(1), position(2)])
    await eventually(lambda: len(bridge.context.board.items("positions")) == 2)
    socket = await bridge.ws()
    await heard(socket, "snapshot")

    bridge.agent.shows("positions", [position(2)])

    assert (await heard(socket, "positions"))["data"] == {"changed": [], "removed": [1]}


async def test_what_the_terminal_has_not_told_yet_is_not_told_as_nothing(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.keeps_back("account", "positions", "orders", "ticks")
    await agent.connect()
    await eventually(lambda: rig.context.terminal.connection.connected)
    socket = await rig.ws()

    first = await heard(socket, "snapshot")
    agent.shows("account", agent.account)
    account = await heard(socket, "snapshot")
    agent.shows("orders", [])
    orders = await heard(socket, "snapshot")
    before = rig.context.feed.status
    agent.shows("positions", [])
    positions = await heard(socket, "snapshot")
    whole = await heard(socket, "status")

    assert first["data"].keys() == {"status"}
    assert first["data"]["status"]["stale"] is True
    assert account["data"].keys() == {"account_info", "status"}
    assert (orders["data"]["orders"], positions["data"]["positions"]) == ([], [])
    assert (before.connected, before.stale) == (True, True)
    assert (whole["data"]["connected"], whole["data"]["stale"]) == (True, False)


async def test_who_returns_is_told_in_full_what_was_not_known_before(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.keeps_back("positions", "orders")
    await agent.connect()
    await eventually(lambda: rig.context.board.version("tick_data"))
    await rig.knows_digits()
    socket = await rig.ws("/ws?channels=positions,account_info")
    epoch = (await heard(socket, "welcome"))["data"]["epoch"]
    seq = (await heard(socket, "snapshot"))["seq"]
    await socket.close()

    agent.shows("positions", [])
    await eventually(lambda: rig.context.board.version("positions"))
    again = await rig.ws(f"/ws?channels=positions,account_info&epoch={epoch}&seq={seq}")

    assert (await heard(again, "welcome"))["data"]["recovered"] is True
    assert (await heard(again, "snapshot"))["data"]["positions"] == []


async def test_what_an_agent_of_before_told_is_stale_until_this_one_has_told_all(
    bridge: Rig,
) -> None:
    await bridge.agent.stop()
    await eventually(lambda: not bridge.context.terminal.connection.connected)
    agent = bridge.new_agent()
    agent.keeps_back("orders")
    await agent.connect()
    await eventually(lambda: bridge.context.terminal.connection.connected)
    await eventually(lambda: agent.shown == 3)
    await bridge.get("/api/account")  # all that was sent has been read
    before = (await bridge.get("/api/positions")).json["stale"]

    agent.shows("orders", [])
    await eventually(lambda: not bridge.context.feed.status.stale)

    assert before is True


async def test_what_came_before_the_account_was_connected_gets_its_digits(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.keeps_back("positions", "ticks")
    await agent.connect()
    await eventually(lambda: rig.context.terminal.connection.connected)
    agent.says("Disconnected", "BrokerUnreachable")
    agent.shows("positions", [position(1, price_current=1.5)])
    await eventually(lambda: rig.context.board.version("positions"))
    before = (await rig.get("/api/positions")).body

    agent.says("Connected")
    await eventually(lambda: b'"price_current":1.50000' in _body(rig))

    assert b'"price_current":1.5,' in before


def _body(rig: Rig) -> bytes:
    return bytes(rig.context.reads.read("positions").body)


async def test_the_end_and_return_of_the_terminal_are_told(bridge: Rig) -> None:
    socket = await bridge.ws()

    bridge.agent.says("Disconnected", "BrokerUnreachable")
    away = await heard(socket, "status")
    bridge.agent.says("Connected")
    back = await heard(socket, "status")

    assert (away["data"]["stale"], away["data"]["reason"]) == (True, "BrokerUnreachable")
    assert away["data"]["stale_since"]
    assert (back["data"]["stale"], back["data"]["state"]) == (False, "Connected")
    assert back["event"] > away["event"]


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ({"type": "heartbeat", "data": {"n": 1}}, "heartbeat_response"),
        ({"type": "account_info"}, "account_info_processed"),
        ({"type": "positions"}, "positions_processed"),
        ({"type": "orders"}, "orders_processed"),
        ({"type": "tick_data"}, "tick_data_processed"),
        ({"type": "tick_data", "data": {"symbol": "EURUSD"}}, "tick_data_processed"),
        ({"type": "trading_signal", "data": {"symbol": "EURUSD"}}, "trading_signal_executed"),
        ({"type": "mt5_command", "data": {"command": "account_info"}}, "mt5_command_result"),
        ({"type": "subscribe"}, "subscribe_response"),
        ({"type": "unsubscribe"}, "unsubscribe_response"),
    ],
)
async def test_every_message_is_answered_by_the_name_that_clients_know_and_its_id(
    bridge: Rig, said: dict[str, Any], answered: str
) -> None:
    socket = await bridge.ws()

    await socket.send(json.dumps(said | {"id": "x-1", "timestamp": "2026-11-21T10:00:00Z"}))

    assert (await heard(socket, answered))["id"] == "x-1"


async def test_prices_that_the_terminal_is_asked_for_hold_up_nothing_else(bridge: Rig) -> None:
    bridge.agent.replies["symbol_info"] = lambda _: None
    socket = await bridge.ws("/ws?channels=")

    await ask(socket, "tick_data", data={"symbol": "GBPUSD"})
    await ask(socket, "heartbeat")

    assert await heard(socket, "heartbeat_response")
    bridge.agent.send(done(await _asked_for(bridge, "GBPUSD"), symbol_info("GBPUSD")))
    assert await heard(socket, "tick_data_processed")


async def test_a_subscribe_that_waits_for_the_terminal_holds_up_no_ping_and_no_answer(
    bridge: Rig,
) -> None:
    bridge.agent.replies["symbol_info"] = lambda _: None
    socket = await bridge.ws("/ws?channels=")

    await ask(socket, "subscribe", data={"symbols": ["GBPUSD"]})
    async with asyncio.timeout(patience_s(5)):
        await (await socket.ping(b"are you there"))
    await ask(socket, "heartbeat")

    assert await heard(socket, "heartbeat_response")
    bridge.agent.send(done(await _asked_for(bridge, "GBPUSD"), symbol_info("GBPUSD")))
    assert await heard(socket, "subscribe_response")


async def test_what_a_client_wants_to_hear_is_done_in_the_order_in_which_it_said_it(
    bridge: Rig,
) -> None:
    bridge.agent.symbols["GBPUSD"] = symbol_info("GBPUSD")
    bridge.agent.replies["symbol_info"] = lambda _: None
    socket = await bridge.ws("/ws?channels=")

    await ask(socket, "subscribe", data={"symbols": ["GBPUSD"]})
    await ask(socket, "subscribe", data={"channels": ["positions"]})
    await ask(socket, "unsubscribe")
    await ask(socket, "subscribe", data={"channels": ["orders"]})
    asked = await _asked_for(bridge, "GBPUSD")
    bridge.agent.send(done(asked, symbol_info("GBPUSD")))
    said = [
        await heard(socket, f"{kind}_response")
        for kind in ("subscribe", "subscribe", "unsubscribe", "subscribe")
    ]

    assert [answer["data"]["channels"] for answer in said] == [
        ["tick_data"],
        ["positions", "tick_data"],
        [],
        ["orders"],
    ]
    [open_socket] = bridge.context.sockets
    assert open_socket.choosing is None


async def _asked_for(rig: Rig, symbol: str) -> protocol.Request:
    def asked() -> list[protocol.Request]:
        requests = rig.agent.heard_of(protocol.Request)
        return [r for r in requests if r.call == "symbol_info" and r.args[0] == symbol]

    await eventually(asked)
    return asked()[-1]


async def test_a_client_that_went_while_its_subscribe_waited_is_forgotten(bridge: Rig) -> None:
    bridge.agent.replies["symbol_info"] = lambda _: None
    socket = await bridge.ws("/ws?channels=")

    await ask(socket, "subscribe", data={"symbols": ["GBPUSD"], "interval_ms": 10})
    asked = await _asked_for(bridge, "GBPUSD")
    await socket.close()
    await eventually(lambda: not bridge.context.sockets)
    bridge.agent.send(done(asked, symbol_info("GBPUSD")))
    await bridge.context.sockets.finished()

    assert bridge.context.feed.hub.clients == []


MALFORMED = [
    "",
    "{",
    "[]",
    "null",
    "1",
    '{"type": "nonsense"}',
    '{"type": 5}',
    '{"no": "type"}',
    '{"type": "subscribe", "data": 5}',
    '{"type": "subscribe", "data": {"channels": ["nonsense"]}}',
    '{"type": "subscribe", "data": {"interval_ms": -1}}',
    '{"type": "subscribe", "data": {"interval_ms": 1e400}}',
    '{"type": "subscribe", "data": {"symbols": ["NOPE"]}}',
    '{"type": "subscribe", "data": {"symbols": ["\\u0000"]}}',
    '{"type": "tick_data", "data": {"symbols": [""]}}',
    '{"type": "mt5_command", "data": {"command": "shutdown"}}',
    '{"type": "broadcast", "data": {}}',
    '{"type": "heartbeat", "id": {"a": 1}}',
    "[" * 5000,
    '{"type": "heartbeat", "data": ' + "[" * 5000,
    b"\xff\xfe",
    b"\x00",
]


@pytest.mark.parametrize("frame", MALFORMED, ids=range(len(MALFORMED)))
async def test_a_malformed_message_is_told_so_and_the_stream_goes_on(
    bridge: Rig, frame: str | bytes
) -> None:
    socket = await bridge.ws()

    await socket.send(frame)
    error = await heard(socket, "error")
    await ask(socket, "heartbeat")

    assert error["data"]["status"] < 500
    assert error["data"]["type"].startswith("/problems/")
    assert await heard(socket, "heartbeat_response")


async def test_a_text_frame_that_is_not_utf8_ends_its_own_stream_only(bridge: Rig) -> None:
    good, bad = await bridge.ws(), await bridge.ws()

    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode()
    await bad.send(b"\xff\xfe", text=True)
    await closed(bad)
    await ask(good, "heartbeat")

    assert await heard(good, "heartbeat_response")


async def test_a_message_too_big_is_1009(bridge: Rig) -> None:
    socket = await bridge.ws()

    await socket.send("x" * (64 * 1024 + 1))

    assert (await closed(socket))[0] == 1009


async def test_a_flood_of_messages_is_closed_4029(bridge: Rig) -> None:
    socket = await bridge.ws()

    for _ in range(100):
        await ask(socket, "heartbeat_response")

    assert (await closed(socket))[0] == 4029


@pytest.mark.parametrize("kind", [0x89, 0x8A], ids=["pings", "pongs"])
async def test_a_flood_of_control_frames_is_one_of_messages(bridge: Rig, kind: int) -> None:
    socket = await bridge.ws("/ws?channels=")
    await heard(socket, "snapshot")

    # Empty and masked; the library itself would wait for each answer.
    socket.transport.write(bytes((kind, 0x80, 0, 0, 0, 0)) * 100)

    assert (await closed(socket))[0] == 4029
    await eventually(lambda: not bridge.context.sockets)


async def test_a_ping_is_answered_with_its_payload(bridge: Rig) -> None:
    socket = await bridge.ws()

    async with asyncio.timeout(patience_s(5)):
        await (await socket.ping(b"are you there"))


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 10), (4, 10), (15, 20), (60_000, 60_000)])
async def test_an_interval_is_never_shorter_than_asked_for(
    bridge: Rig, asked: int, given: int
) -> None:
    socket = await bridge.ws(f"/ws?interval_ms={asked}")
    welcome = await heard(socket, "welcome")
    await ask(socket, "subscribe", data={"interval_ms": asked})

    assert welcome["data"]["subscribed"]["interval_ms"] == given
    assert (await heard(socket, "subscribe_response"))["data"]["interval_ms"] == given


async def refused(rig: Rig, path: str) -> tuple[int, Any]:
    """Return status and problem with which a stream is refused."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as found:
        await rig.ws(path)
    return found.value.response.status_code, json.loads(found.value.response.body)


def knows(rig: Rig, count: int) -> list[str]:
    """Let the broker have so many symbols more, and return their names."""
    names = [f"S{number}" for number in range(count)]
    rig.agent.symbols |= {name: symbol_info(name) for name in names}
    return names


async def test_all_clients_together_have_no_more_symbols_watched_than_the_limit(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(ws_max_watched_symbols=4)
    await rig.connected()
    names = knows(rig, 5)
    first = await rig.ws("/ws?symbols=S0,S1,EURUSD")
    await heard(first, "welcome")
    second = await rig.ws("/ws?symbols=S1")
    await ask(second, "subscribe", data={"symbols": names[1:4]})
    before = (await heard(second, "subscribe_response"))["data"]["symbols"]
    status, problem = await refused(rig, "/ws?symbols=S4")

    await ask(second, "subscribe", data={"symbols": ["S4"]})
    told = (await heard(second, "error"))["data"]
    same = await rig.ws("/ws?symbols=S0,S3")

    assert before == names[1:4]
    assert (status, problem["type"]) == (503, "/problems/too-many-symbols")
    assert told["type"] == "/problems/too-many-symbols"
    assert (told["limit"], told["allowed"]) == ("watched_symbols", 4)
    assert (await heard(same, "welcome"))["data"]["subscribed"]["symbols"] == ["S0", "S3"]
    assert set(rig.context.terminal.symbols) <= {"EURUSD", *names[:4]}


async def test_who_hears_all_symbols_can_have_more_of_them_watched(bridge: Rig) -> None:
    knows(bridge, 2)
    socket = await bridge.ws()
    await ask(socket, "subscribe", data={"symbols": ["S0"]})
    await heard(socket, "subscribe_response")
    await ask(socket, "subscribe", data={"symbols": ["S1"]})
    all_ = (await heard(socket, "subscribe_response"))["data"]["symbols"]
    watched = bridge.context.terminal.symbols
    await ask(socket, "unsubscribe", data={"symbols": ["S0"]})
    left = (await heard(socket, "unsubscribe_response"))["data"]["symbols"]

    assert (all_, watched) == (None, ("EURUSD", "S0", "S1"))
    assert left == ["EURUSD", "S1"]
    assert bridge.context.terminal.symbols == ("EURUSD", "S1")


async def test_a_rush_of_clients_is_held_to_the_limit_too(rig_with: RigWith) -> None:
    rig = await rig_with(ws_max_watched_symbols=2)
    await rig.connected()
    names = knows(rig, 8)

    opened = await asyncio.gather(
        *(rig.ws(f"/ws?symbols={name}") for name in names), return_exceptions=True
    )

    assert sum(isinstance(one, Exception) for one in opened) == 6
    await eventually(lambda: len(rig.context.terminal.symbols) == 3)


async def test_one_client_has_its_own_limit_of_symbols_however_it_names_them(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(ws_max_symbols=2)
    await rig.connected()
    knows(rig, 3)
    socket = await rig.ws("/ws?symbols=S0,S1")
    await ask(socket, "subscribe", data={"symbols": ["S2"]})
    told = (await heard(socket, "error"))["data"]
    await ask(socket, "subscribe", data={"symbols": ["S1"]})
    left = (await heard(socket, "subscribe_response"))["data"]["symbols"]

    status, problem = await refused(rig, "/ws?symbols=S0,S1,S2")

    assert (status, problem["limit"], problem["allowed"]) == (400, "symbols", 2)
    assert (told["type"], told["limit"]) == ("/problems/invalid-request", "symbols")
    assert left == ["S0", "S1"]


async def test_symbols_are_subscribed_watched_and_let_go(bridge: Rig) -> None:
    bridge.agent.symbols["XAUUSD"] = symbol_info("XAUUSD", digits=2)
    socket = await bridge.ws("/ws?channels=")
    assert set((await heard(socket, "snapshot"))["data"]) == {"status"}

    await ask(socket, "subscribe", data={"symbols": ["XAUUSD"], "interval_ms": 0})
    answer = await heard(socket, "subscribe_response")
    await eventually(lambda: bridge.context.terminal.symbols == ("EURUSD", "XAUUSD"))
    bridge.agent.shows("ticks", {"XAUUSD": tick(2000.5, 2000.7), "EURUSD": tick(1.1, 1.2)})
    told = await heard(socket, "tick_data")

    assert answer["data"] == {"channels": ["tick_data"], "symbols": ["XAUUSD"], "interval_ms": 0}
    assert [(t["symbol"], t["bid"]) for t in told["data"]["changed"]] == [("XAUUSD", 2000.5)]
    await socket.close()
    await eventually(lambda: bridge.context.terminal.symbols == ("EURUSD",))


async def test_the_price_of_a_symbol_that_was_let_go_is_not_told_as_current(rig: Rig) -> None:
    rig.put_account(enabled=False, symbols=())
    rig.look()
    agent = rig.new_agent()
    agent.ticks = {}
    agent.symbols["GBPUSD"] = symbol_info("GBPUSD")
    await agent.connect()
    await eventually(lambda: rig.context.terminal.connection.connected)
    socket = await rig.ws("/ws?symbols=GBPUSD")
    await heard(socket, "snapshot")
    agent.shows("ticks", {"GBPUSD": tick(1.25, 1.26)})
    await heard(socket, "tick_data")

    # Nothing else is watched, so no other price comes either.
    await socket.close()
    await eventually(lambda: not rig.context.terminal.symbols)

    assert (await rig.get("/api/ticks")).json["ticks"] == []
    [asked] = (await rig.get("/api/ticks?symbols=GBPUSD")).json["ticks"]
    assert asked["bid"] == 1.5, "the terminal's own, of now"


async def test_an_account_of_which_nothing_is_watched_has_no_prices_and_says_so(rig: Rig) -> None:
    rig.put_account(enabled=False, symbols=())
    rig.look()
    away = await rig.get("/api/ticks")
    agent = rig.new_agent()
    agent.keeps_back("ticks")
    await agent.connect()
    await eventually(lambda: rig.context.board.version("orders"))
    rig.look()

    assert (away.status, away.json["reason"]) == (503, "AgentMissing")
    answer = await rig.get("/api/ticks")
    assert (answer.status, answer.json["ticks"], answer.json["stale"]) == (200, [], False)


async def test_a_symbol_that_the_account_no_longer_names_is_let_go(bridge: Rig) -> None:
    socket = await bridge.ws("/ws?channels=tick_data")
    await heard(socket, "snapshot")

    bridge.put_account(enabled=False, symbols=())
    bridge.look()

    assert (await heard(socket, "tick_data"))["data"]["removed"] == ["EURUSD"]
    assert (await bridge.get("/api/ticks")).json["ticks"] == []


async def test_a_new_subscription_begins_with_its_snapshot(bridge: Rig) -> None:
    socket = await bridge.ws("/ws?channels=positions")
    await heard(socket, "snapshot")

    await ask(socket, "subscribe", data={"channels": ["account_info"]})
    snapshot = await heard(socket, "snapshot")

    assert set(snapshot["data"]) == {"account_info", "status"}
    assert snapshot["data"]["account_info"]["login"] == 10001


async def test_what_was_unsubscribed_is_not_sent(bridge: Rig) -> None:
    socket = await bridge.ws()
    await ask(socket, "unsubscribe", data={"channels": ["positions"]})
    await heard(socket, "unsubscribe_response")

    bridge.agent.shows("positions", [position(1)])
    bridge.agent.shows("ticks", {"EURUSD": tick(1.2, 1.3)})

    assert json.loads(await socket.recv())["type"] == "tick_data"


async def test_a_client_that_returns_gets_what_it_missed(bridge: Rig) -> None:
    socket = await bridge.ws()
    welcome, snapshot = await heard(socket, "welcome"), await heard(socket, "snapshot")
    await socket.close()
    bridge.agent.shows("positions", [position(1)])
    await eventually(lambda: bridge.context.board.items("positions"))
    bridge.agent.says("Disconnected", "BrokerUnreachable")
    await eventually(lambda: not bridge.context.terminal.connection.connected)

    epoch, seq = welcome["data"]["epoch"], snapshot["seq"]
    again = await bridge.ws(f"/ws?epoch={epoch}&seq={seq}")

    assert (await heard(again, "welcome"))["data"]["recovered"] is True
    positions = json.loads(await again.recv())
    status = json.loads(await again.recv())
    assert [p["ticket"] for p in positions["data"]["changed"]] == [1]
    assert (status["type"], status["data"]["reason"]) == ("status", "BrokerUnreachable")


async def test_a_client_that_returns_for_more_gets_that_in_full(bridge: Rig) -> None:
    bridge.agent.shows("positions", [position(1)])
    bridge.agent.shows("orders", [order(7)])
    await eventually(lambda: bridge.context.board.items("orders"))
    socket = await bridge.ws("/ws?channels=positions")
    welcome, snapshot = await heard(socket, "welcome"), await heard(socket, "snapshot")
    await socket.close()
    bridge.agent.shows("positions", [position(1), position(2)])
    await eventually(lambda: len(bridge.context.board.items("positions")) == 2)

    epoch, seq = welcome["data"]["epoch"], snapshot["seq"]
    again = await bridge.ws(f"/ws?channels=positions,orders&epoch={epoch}&seq={seq}")
    recovered = (await heard(again, "welcome"))["data"]["recovered"]
    new, changed = json.loads(await again.recv()), json.loads(await again.recv())

    assert recovered is True
    assert new["data"].keys() == {"orders", "status"}
    assert [o["ticket"] for o in new["data"]["orders"]] == [7]
    assert [p["ticket"] for p in changed["data"]["changed"]] == [2]


async def test_what_was_subscribed_and_never_came_comes_when_its_client_returns(
    bridge: Rig,
) -> None:
    bridge.agent.shows("orders", [order(7)])
    await eventually(lambda: bridge.context.board.items("orders"))
    socket = await bridge.ws("/ws?channels=positions")
    welcome, snapshot = await heard(socket, "welcome"), await heard(socket, "snapshot")
    await ask(socket, "subscribe", data={"channels": ["orders"]})
    told = await heard(socket, "snapshot")  # as if it had not: the seq before it is sent
    await socket.close()

    epoch, seq = welcome["data"]["epoch"], snapshot["seq"]
    again = await bridge.ws(f"/ws?channels=positions,orders&epoch={epoch}&seq={seq}")
    once_more = await bridge.ws(f"/ws?channels=positions,orders&epoch={epoch}&seq={told['seq']}")

    assert [o["ticket"] for o in (await heard(again, "snapshot"))["data"]["orders"]] == [7]
    assert (await heard(once_more, "welcome"))["data"]["recovered"] is True
    await ask(once_more, "heartbeat")
    assert json.loads(await once_more.recv())["type"] == "heartbeat_response", "it has it all"


async def test_what_was_unsubscribed_comes_in_full_when_its_client_returns_for_it(
    bridge: Rig,
) -> None:
    socket = await bridge.ws("/ws?channels=positions,orders")
    epoch = (await heard(socket, "welcome"))["data"]["epoch"]
    seq = (await heard(socket, "snapshot"))["seq"]
    await ask(socket, "unsubscribe", data={"channels": ["orders"]})
    await heard(socket, "unsubscribe_response")
    bridge.agent.shows("orders", [order(7)])
    bridge.agent.shows("positions", [position(1)])
    seq = max(seq, (await heard(socket, "positions"))["seq"])
    await socket.close()

    again = await bridge.ws(f"/ws?channels=positions,orders&epoch={epoch}&seq={seq}")

    assert (await heard(again, "welcome"))["data"]["recovered"] is True
    assert [o["ticket"] for o in (await heard(again, "snapshot"))["data"]["orders"]] == [7]


async def test_a_client_whose_snapshot_never_came_gets_another(bridge: Rig) -> None:
    welcome = (await heard(await bridge.ws(), "welcome"))["data"]
    assert welcome["seq"] == 0

    again = await bridge.ws(f"/ws?epoch={welcome['epoch']}&seq={welcome['seq']}")

    assert (await heard(again, "welcome"))["data"]["recovered"] is False
    assert (await heard(again, "snapshot"))["data"]["positions"] == []


@pytest.mark.parametrize(
    "place", ["epoch=another&seq=1", "epoch={epoch}&seq=999999", "epoch={epoch}0&seq=1"]
)
async def test_a_client_that_cannot_resume_is_told_and_gets_everything(
    bridge: Rig, place: str
) -> None:
    epoch = (await heard(await bridge.ws(), "welcome"))["data"]["epoch"]
    socket = await bridge.ws(f"/ws?{place.format(epoch=epoch)}")

    assert (await heard(socket, "welcome"))["data"]["recovered"] is False
    assert "positions" in (await heard(socket, "snapshot"))["data"]


async def test_a_gap_in_the_events_is_announced(rig_with: RigWith) -> None:
    rig = await rig_with(ws_ring_events=2)
    await rig.connected()
    before = await rig.ws()
    epoch = (await heard(before, "welcome"))["data"]["epoch"]
    seq = (await heard(before, "snapshot"))["seq"]
    for n in range(3):
        rig.agent.says("Disconnected", f"Reason{n}")
    board = rig.context.board
    await eventually(lambda: any(b"Reason2" in event.body for event in board.events))

    socket = await rig.ws(f"/ws?epoch={epoch}&seq={seq}")

    assert (await heard(socket, "welcome"))["data"]["recovered"] is False


async def test_a_stalled_client_is_closed_4008_and_the_others_hear_everything(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(ws_write_buffer_bytes=1024, ws_stall_timeout_s=0.2, ws_close_grace_s=60)
    await rig.connected()
    quick = await rig.ws("/ws?channels=positions", max_queue=None)
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.settimeout(0)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", rig.sidecar.api_port))
    slow = await rig.ws("/ws?channels=positions", sock=raw, max_queue=1)

    codes = rig.context.metrics.streams.closed.labels("4008")
    comment = "x" * 20_000
    for n in range(2000):
        positions = [position(t, comment=f"{comment}{n}") for t in range(10)]
        rig.agent.shows("positions", positions)
        await eventually(lambda n=n: _last_comment(rig).endswith(f"{n}"))
        rig.look()
        if codes._value.get():
            break

    assert codes._value.get() == 1
    last = await _until(quick, f"{comment}{n}")
    assert last
    assert (await closed(slow, timeout_s=20))[0] == 4008


def _last_comment(rig: Rig) -> str:
    items = list(rig.context.board.items("positions").values())
    return str(json.loads(items[-1].body)["comment"]) if items else ""


async def _until(socket: Any, comment: str) -> bool:
    while True:
        message = await heard(socket, "positions")
        if message["data"]["changed"][-1]["comment"] == comment:
            return True


async def test_there_are_no_more_sockets_than_the_limit(rig_with: RigWith) -> None:
    rig = await rig_with(ws_max_sockets=2)
    first, _ = await rig.ws(), await rig.ws()

    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await rig.ws()
    await first.close()
    await eventually(lambda: len(rig.context.sockets) == 1)

    assert refused.value.response.status_code == 503
    assert "Retry-After" in refused.value.response.headers
    assert await rig.ws()


async def test_a_stopping_sidecar_sends_its_clients_elsewhere(bridge: Rig) -> None:
    clients = [await bridge.ws() for _ in range(3)]

    stopping = asyncio.create_task(bridge.sidecar.stop())
    codes = [(await closed(socket))[0] for socket in clients]
    await stopping

    assert codes == [1012] * 3


async def test_heartbeats_come_by_themselves(rig_with: RigWith) -> None:
    rig = await rig_with(ws_heartbeat_interval_s=0.001, file_poll_interval_s=NEVER_S)
    socket = await rig.ws()
    await heard(socket, "snapshot")

    rig.look()

    assert await heard(socket, "heartbeat")


async def test_a_heartbeat_names_the_point_that_its_client_has_reached(rig_with: RigWith) -> None:
    rig = await rig_with(ws_heartbeat_interval_s=0.001, file_poll_interval_s=NEVER_S)
    await rig.connected()
    slow = await rig.ws("/ws?interval_ms=60000")
    rig.agent.shows("positions", [position(1)])
    reached = (await heard(slow, "positions"))["seq"]
    rig.agent.shows("positions", [])
    await eventually(lambda: rig.context.board.seq > reached)

    rig.look()

    assert (await heard(slow, "heartbeat"))["data"]["seq"] == reached


async def test_the_status_stream_needs_no_account_data(bridge: Rig) -> None:
    socket = await bridge.ws("/websocket/ws/status")
    snapshot = await heard(socket, "snapshot")

    bridge.agent.shows("positions", [position(1)])
    bridge.agent.says("Disconnected", "BrokerUnreachable")

    assert set(snapshot["data"]) == {"status"}
    assert json.loads(await socket.recv())["type"] == "status"


@pytest.mark.parametrize("path", ["/ws/health", "/websocket/ws/health"])
async def test_the_health_stream_tells_how_the_streams_are(rig_with: RigWith, path: str) -> None:
    rig = await rig_with(ws_heartbeat_interval_s=0.001)
    await rig.connected()
    await rig.ws()
    socket = await rig.ws(path)

    first = (await heard(socket, "health"))["data"]
    rig.context.sockets.draining = True
    rig.look()
    later = (await heard(socket, "health"))["data"]

    assert (first["status"], later["status"]) == ("ok", "draining")
    assert (first["clients"], first["clients_limit"], first["slow_clients"]) == (2, 125, 0)
    assert (first["connected"], first["stale"]) == (True, False)
    assert later["messages"] > first["messages"] > 0


async def test_other_streams_hear_nothing_of_health(rig_with: RigWith) -> None:
    rig = await rig_with(ws_heartbeat_interval_s=0.001)
    socket = await rig.ws("/ws/status")

    rig.look()

    assert json.loads(await socket.recv())["type"] == "welcome"
    rest = [json.loads(await socket.recv())["type"] for _ in range(2)]
    assert "health" not in rest
    assert "heartbeat" in rest


async def test_an_admin_reaches_everybody_who_listens(bridge: Rig) -> None:
    bridge.put_keys([OWN, key_record("boss", accounts=["*"], scopes=["admin"])])
    bridge.look()
    listener, boss = await bridge.ws(), await bridge.ws("/ws/broadcast", key=api_key("boss"))

    await ask(boss, "broadcast", data={"text": "maintenance at 10"})

    assert (await heard(listener, "broadcast"))["data"] == {"text": "maintenance at 10"}
    assert (await heard(boss, "broadcast_response"))["data"]["listeners"] == 2


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("positions", {"symbol": "EURUSD"}),
        ("orders", {"ticket": 7}),
        ("tick_data", {"Symbol": "EURUSD"}),
        ("subscribe", {"symbol": "EURUSD"}),
        ("unsubscribe", {"channel": "positions"}),
        ("unsubscribe", {"interval_ms": 10}),
        ("mt5_command", {"symbol": "EURUSD", "command": "positions_get"}),
    ],
)
async def test_what_would_be_passed_over_in_a_message_is_refused(
    bridge: Rig, type_: str, data: dict[str, Any]
) -> None:
    socket = await bridge.ws()
    await ask(socket, type_, data=data)

    told = await heard(socket, "error")

    assert (told["id"], told["data"]["type"]) == (1, "/problems/invalid-request")
    assert next(iter(data)) in told["data"]["detail"]


@pytest.mark.parametrize(
    "type_",
    ["subscribe", "unsubscribe", "positions", "tick_data", "trading_signal", "mt5_command"],
)
async def test_what_stands_beside_the_data_is_refused_and_changes_nothing(
    bridge: Rig, type_: str
) -> None:
    socket = await bridge.ws("/ws?channels=positions,orders")
    await heard(socket, "snapshot")

    said = {"type": type_, "id": "a", "account_id": "10002", "data": {}}
    await socket.send(json.dumps(said))
    told = await heard(socket, "error")
    await ask(socket, "subscribe", data={"interval_ms": 100})
    heard_now = (await heard(socket, "subscribe_response"))["data"]

    assert (told["id"], told["data"]["type"]) == ("a", "/problems/invalid-request")
    assert told["data"]["detail"].startswith("Object contains unknown field `account_id`")
    assert heard_now == {"channels": ["orders", "positions"], "symbols": None, "interval_ms": 100}


async def test_another_interval_changes_nothing_else(bridge: Rig) -> None:
    socket = await bridge.ws("/ws/status")

    await ask(socket, "subscribe", data={"interval_ms": 100})
    told = (await heard(socket, "subscribe_response"))["data"]
    bridge.context.feed.traded({})
    await ask(socket, "heartbeat")
    rest = [json.loads(await socket.recv())["type"]]

    assert told == {"channels": [], "symbols": [], "interval_ms": 100}
    assert rest == ["heartbeat_response"], "no snapshot, and nothing of the account"


async def test_a_symbol_beside_others_is_asked_for_as_well(bridge: Rig) -> None:
    socket = await bridge.ws("/ws?channels=")

    await ask(socket, "tick_data", data={"symbol": "GBPUSD", "symbols": ["EURUSD"]})

    assert "GBPUSD" in (await heard(socket, "error"))["data"]["detail"]


@pytest.mark.parametrize("data", [None, {}, {"account_id": "10001"}])
async def test_a_read_over_a_stream_may_name_the_account(bridge: Rig, data: Any) -> None:
    socket = await bridge.ws()
    await ask(socket, "positions", data=data)

    assert await heard(socket, "positions_processed")
