# SPDX-License-Identifier: Apache-2.0
"""Trades over WebSocket have the same keys as over HTTP, and hold nobody up."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from scripted_broker import NO_MONEY, ScriptedBroker
from sidecar_rig import KEY, OWN, TRADER, Rig, api_key, eventually, heard, key_record
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

RigWith = Callable[..., Awaitable[Rig]]
BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}
TRADER_KEY = api_key("trader")


async def ask(socket: Any, type_: str, data: Any, *, id_: Any = 1) -> None:
    await socket.send(json.dumps({"type": type_, "id": id_, "data": data}))


async def executed(socket: Any) -> Any:
    return (await heard(socket, "trading_signal_executed"))["data"]


async def result(socket: Any) -> Any:
    return (await heard(socket, "mt5_command_result"))["data"]


async def test_a_signal_is_executed_once_and_its_key_is_known_to_http(
    rig: Rig, broker: ScriptedBroker
) -> None:
    socket = await rig.ws(key=TRADER_KEY)

    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"})
    first = await executed(socket)
    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"})
    again = await executed(socket)
    over_http = await rig.trade("POST", "/api/order", "k1", json=BUY)

    assert (first["ok"], first["outcome"], first["order"]) == (True, "Done", 101)
    assert again == first | {"replayed": True}
    assert over_http.json["order"] == 101
    assert len(broker.sent) == 1


async def test_a_refused_signal_says_why(rig: Rig, broker: ScriptedBroker) -> None:
    broker.retcode = NO_MONEY
    socket = await rig.ws(key=TRADER_KEY)

    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"})
    told = await executed(socket)

    assert (told["ok"], told["outcome"], told["retcode_name"]) == (False, "Refused", "NO_MONEY")
    assert told["problem"]["type"] == "/problems/order-refused"


async def test_a_signal_without_an_answer_is_unknown_and_not_ok(
    rig: Rig, broker: ScriptedBroker
) -> None:
    broker.silent = True
    socket = await rig.ws(key=TRADER_KEY)

    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"})
    told = await executed(socket)

    assert (told["ok"], told["outcome"], told["final"]) == (False, "Unknown", False)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "bad-key"),
        (BUY, "bad-key"),
        ({"client_order_id": "k"}, "bad-body"),
        (BUY | {"client_order_id": "k", "volume": "0.001"}, "broken-limit"),
        (BUY | {"client_order_id": "k", "account_id": "7"}, "misdirected"),
        (BUY | {"client_order_id": "used"}, "key-reused"),
        ({"client_order_id": "used", "side": "by"}, "bad-body"),
    ],
)
async def test_what_cannot_be_meant_is_told_and_nothing_is_sent(
    rig: Rig, broker: ScriptedBroker, data: Any, problem: str
) -> None:
    await rig.trade("POST", "/api/order", "used", json=BUY | {"volume": 1})
    socket = await rig.ws(key=TRADER_KEY)

    await ask(socket, "trading_signal", data)
    told = await executed(socket)

    assert (told["ok"], told["outcome"]) == (False, None)
    assert told["problem"]["type"] == f"/problems/{problem}"
    assert len(broker.sent) == 1


async def test_who_cannot_look_for_an_executed_key_never_says_that_it_was_not_sent(
    rig: Rig, broker: ScriptedBroker
) -> None:
    """`NotSent` allows a new key: told of an order that was made, it makes a second one."""
    socket = await rig.ws(key=TRADER_KEY)
    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"})
    assert (await executed(socket))["outcome"] == "Done"

    await rig.context.office.stop()
    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"})
    again = await executed(socket)
    await ask(socket, "mt5_command", {"command": "order_outcome", "params": {"key": "k1"}})
    asked = await result(socket)

    assert (again["ok"], again["outcome"]) == (False, None)
    assert again["problem"]["type"] == "/problems/stopping"
    assert (asked["ok"], asked["result"]["outcome"]) == (False, None)
    assert len(broker.sent) == 1


@pytest.mark.parametrize("type_", ["trading_signal", "mt5_command"])
async def test_to_listen_is_not_to_trade(rig: Rig, broker: ScriptedBroker, type_: str) -> None:
    socket = await rig.ws(key=KEY)
    body = BUY | {"client_order_id": "k"}
    data = body if type_ == "trading_signal" else {"command": "order_send", "params": body}

    with capture_logs(processors=[merge_contextvars]) as lines:
        await ask(socket, type_, data)
        said = await (executed if type_ == "trading_signal" else result)(socket)

    problem = said.get("result", said)["problem"]
    assert problem["type"] == "/problems/forbidden"
    assert not broker.sent
    (line,) = (line for line in lines if line["event"] == "refused")
    assert (line["problem"], line["subject"]) == ("Forbidden", "key:own")
    assert line["request_id"]


async def test_trading_that_is_off_is_told(rig: Rig, broker: ScriptedBroker) -> None:
    rig.put_account(enabled=False)
    rig.look()
    socket = await rig.ws(key=TRADER_KEY)

    await ask(socket, "trading_signal", {"symbol": "EURUSD"})

    assert (await executed(socket))["problem"]["type"] == "/problems/trading-disabled"


async def test_commands_close_and_tell_what_became_of_a_key(
    rig: Rig, broker: ScriptedBroker
) -> None:
    socket = await rig.ws(key=TRADER_KEY)

    async def command(name: str, **params: Any) -> Any:
        await ask(socket, "mt5_command", {"command": name, "params": params})
        return await result(socket)

    opened = await command("order_send", **BUY, client_order_id="k1")
    known = await command("order_outcome", key="k1")
    missing = await command("order_outcome", key="k2")
    nothing = await command("position_close", ticket=77, client_order_id="k3")

    assert (opened["command"], opened["ok"]) == ("order_send", True)
    assert (known["ok"], known["result"]["replayed"]) == (True, True)
    assert (missing["ok"], missing["result"]["outcome"]) == (False, None)
    assert missing["result"]["problem"]["type"] == "/problems/key-unknown"
    assert nothing["result"]["problem"]["type"] == "/problems/unknown-target"
    assert len(broker.sent) == 1


async def test_a_slow_order_does_not_hold_up_a_clients_other_messages(
    rig: Rig, broker: ScriptedBroker
) -> None:
    broker.holds = True
    socket = await rig.ws(key=TRADER_KEY)
    await ask(socket, "trading_signal", BUY | {"client_order_id": "k1"}, id_="order")
    await eventually(lambda: broker.held)

    await ask(socket, "heartbeat", {})
    await heard(socket, "heartbeat_response")
    broker.answers()

    assert (await heard(socket, "trading_signal_executed"))["id"] == "order"


async def test_a_client_that_asks_too_much_at_once_is_told_to_wait(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(ws_commands_at_once=2)
    broker = await rig.trades()
    broker.holds = True
    socket = await rig.ws(key=TRADER_KEY)
    for number in range(3):
        await ask(socket, "trading_signal", BUY | {"client_order_id": f"k{number}"})

    refused = await heard(socket, "error")

    assert refused["data"]["type"] == "/problems/busy"
    broker.holds = False
    broker.answers()
    assert (await executed(socket))["ok"]


async def test_who_may_only_broadcast_reads_nothing(rig: Rig, broker: ScriptedBroker) -> None:
    rig.put_keys([OWN, TRADER, key_record("admin", accounts=["*"], scopes=["admin"])])
    rig.look()
    socket = await rig.ws("/ws/broadcast", key=api_key("admin"))

    for type_ in ("account_info", "positions", "tick_data", "subscribe"):
        await ask(socket, type_, {})
        assert (await heard(socket, "error"))["data"]["type"] == "/problems/forbidden"
    await ask(socket, "mt5_command", {"command": "account_info"})
    assert (await heard(socket, "error"))["data"]["type"] == "/problems/forbidden"


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("positions_get", {"symbol": "EURUSD"}),
        ("ticks", {"symbols": ["EURUSD"]}),
        ("order_outcome", {"key": "k1", "ticket": 7}),
    ],
)
async def test_a_command_refuses_what_it_would_pass_over(
    rig: Rig, broker: ScriptedBroker, command: str, params: dict[str, Any]
) -> None:
    socket = await rig.ws(key=api_key("trader"))

    await ask(socket, "mt5_command", {"command": command, "params": params})
    refused = await heard(socket, "error")
    await ask(socket, "mt5_command", {"command": "positions_get", "params": {"account_id": 10001}})

    assert (refused["id"], refused["data"]["type"]) == (1, "/problems/invalid-request")
    assert "account_id" in refused["data"]["params"]
    assert (await heard(socket, "mt5_command_result"))["data"]["ok"] is True


async def test_a_signal_that_says_something_twice_is_refused(
    rig: Rig, broker: ScriptedBroker
) -> None:
    socket = await rig.ws(key=TRADER_KEY)
    twice = json.dumps(BUY | {"client_order_id": "k1"}).replace("{", '{"volume": "5", ', 1)

    await socket.send(f'{{"type": "trading_signal", "id": 7, "data": {twice}}}')
    told = await heard(socket, "error")

    assert (told["id"], told["data"]["type"]) == (7, "/problems/bad-body")
    assert not broker.sent
