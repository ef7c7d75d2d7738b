# SPDX-License-Identifier: Apache-2.0
"""Trades over HTTP, through a real loopback connection to a scripted agent."""

import asyncio
import json
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from account_records import order, position
from multidict import CIMultiDict
from scripted_broker import NO_MONEY, REQUOTE, ScriptedBroker
from sidecar_rig import KEY, TRADER, Rig, api_key, eventually, key_record
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from cluster.waiting import patience_s
from mt5_sidecar.api.trading.http import KEY_HEADER
from mt5_sidecar.app import Sidecar

RigWith = Callable[..., Awaitable[Rig]]

BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}


async def test_an_order_is_sent_and_answered_with_what_became_of_it(
    rig: Rig, broker: ScriptedBroker
) -> None:
    answer = await rig.trade("POST", "/api/order", "k1", json=BUY)

    assert answer.status == 200
    told = answer.json
    assert (told["key"], told["outcome"], told["retcode_name"]) == ("k1", "Done", "DONE")
    assert (told["order"], told["deal"], told["volume"]) == (101, 201, 0.1)
    (sent,) = broker.sent
    assert sent["comment"].startswith("mt5b-")


async def test_the_trades_of_one_key_leave_a_place_in_the_line_to_another(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(order_max_waiting=3, kept_ratio=0.34, kept_keys=1)
    broker = await rig.trades()
    rig.put_keys([TRADER, key_record("other", accounts=["10001"], scopes=["trade"])])
    rig.look()
    broker.holds = True
    mine = [
        asyncio.ensure_future(rig.trade("POST", "/api/order", f"k{number}", json=BUY))
        for number in range(2)
    ]
    await eventually(lambda: rig.context.office.desk.waiting == 2)

    full = await rig.trade("POST", "/api/order", "k2", json=BUY)
    named = {KEY_HEADER: "theirs"}
    theirs = asyncio.ensure_future(
        rig.request("POST", "/api/order", key=api_key("other"), headers=named, json=BUY)
    )
    await eventually(lambda: rig.context.office.desk.waiting == 3)
    broker.holds = False
    broker.answers()
    answers = await asyncio.gather(*mine, theirs)

    assert (full.status, full.problem) == (503, "/problems/busy")
    assert {answer.json["outcome"] for answer in answers} == {"Done"}


async def test_the_same_key_is_answered_again_and_sent_once(
    rig: Rig, broker: ScriptedBroker
) -> None:
    first = await rig.trade("POST", "/api/order", "k1", json=BUY)
    again = await rig.trade("POST", "/order", json=BUY | {"client_order_id": "k1"})
    asked = await rig.get("/api/order/k1")

    assert len(broker.sent) == 1
    assert again.json == first.json | {"replayed": True} == asked.json


@pytest.mark.parametrize("path", ["/api/order", "/api/order/check"])
async def test_a_compressed_body_is_refused_with_words(
    rig: Rig, broker: ScriptedBroker, path: str
) -> None:
    data, headers = zlib.compress(json.dumps(BUY).encode()), {"Content-Encoding": "deflate"}
    own = {"X-API-Key": api_key("trader"), KEY_HEADER: "k1"}

    answer = await rig.request("POST", path, key=None, data=data, headers=headers | own)
    plain = {"Content-Encoding": "Identity"} | own
    taken = await rig.request("POST", path, key=None, data=json.dumps(BUY), headers=plain)

    assert (answer.status, answer.problem) == (400, "/problems/bad-body")
    assert "Content-Encoding" in answer.json["detail"]
    assert taken.status == 200


@pytest.mark.parametrize("door", ["api_port", "ops_port"])
async def test_nothing_that_a_stranger_sends_is_inflated(
    bridge: Rig, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated: list[object] = []
    monkeypatch.setattr("aiohttp.http_parser.DeflateBuffer.__init__", inflated.append)
    bomb = {"data": zlib.compress(bytes(10_000)), "headers": {"Content-Encoding": "deflate"}}
    port = getattr(bridge.sidecar, door)

    answer = await bridge.request("POST", "/api/order", key=None, port=port, **bomb)

    assert answer.status in {401, 404}
    assert inflated == []


async def test_a_key_with_another_body_is_refused(rig: Rig, broker: ScriptedBroker) -> None:
    await rig.trade("POST", "/api/order", "k1", json=BUY)
    other = await rig.trade("POST", "/api/order", "k1", json=BUY | {"volume": "0.20"})

    assert (other.status, other.problem) == (422, "/problems/key-reused")
    assert len(broker.sent) == 1


async def test_a_used_key_is_answered_even_when_trading_is_off_again(
    rig: Rig, broker: ScriptedBroker
) -> None:
    await rig.trade("POST", "/api/order", "k1", json=BUY)
    rig.put_account(enabled=False)
    rig.look()

    used = await rig.trade("POST", "/api/order", "k1", json=BUY)
    new = await rig.trade("POST", "/api/order", "k2", json=BUY)

    assert (used.status, used.json["replayed"]) == (200, True)
    assert (new.status, new.problem) == (403, "/problems/trading-disabled")
    assert len(broker.sent) == 1


async def test_a_refused_order_is_told_with_the_brokers_word(
    rig: Rig, broker: ScriptedBroker
) -> None:
    broker.retcode = NO_MONEY

    answer = await rig.trade("POST", "/api/order", "k1", json=BUY)

    assert (answer.status, answer.problem) == (409, "/problems/order-refused")
    told = answer.json
    assert (told["retcode"], told["retcode_name"], told["retry"]) == (10019, "NO_MONEY", False)
    assert (await rig.get("/api/order/k1")).json["outcome"] == "Refused"


async def test_a_requote_may_be_asked_again(rig: Rig, broker: ScriptedBroker) -> None:
    broker.retcode = REQUOTE

    assert (await rig.trade("POST", "/api/order", "k1", json=BUY)).json["retry"] is True


async def test_a_broken_limit_is_named_with_what_is_allowed(
    rig: Rig, broker: ScriptedBroker
) -> None:
    answer = await rig.trade("POST", "/api/order", "k1", json=BUY | {"volume": 0.001})

    assert (answer.status, answer.problem) == (422, "/problems/broken-limit")
    told = answer.json
    assert (told["limit"], told["value"], told["retcode_name"]) == (
        "volume_min",
        "0.001",
        "INVALID_VOLUME",
    )
    assert not broker.sent


async def test_the_accounts_own_limit_is_named(rig: Rig, broker: ScriptedBroker) -> None:
    rig.put_account(enabled=True, max_volume="0.05", orders_per_minute=1)
    rig.look()

    large = await rig.trade("POST", "/api/order", "k1", json=BUY)
    await rig.trade("POST", "/api/order", "k2", json=BUY | {"volume": "0.05"})
    second = await rig.trade("POST", "/api/order", "k3", json=BUY | {"volume": "0.04"})

    assert (large.status, large.json["limit"]) == (403, "maxVolume")
    assert (second.status, second.problem) == (429, "/problems/too-many-orders")
    assert 0 < int(second.headers["Retry-After"]) <= 60


async def test_who_waits_for_an_unknown_outcome_is_told_how_often_it_is_looked_for(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(call_timeout_s=0.1, order_reconcile_interval_s=6.5)
    (await rig.trades()).silent = True

    answer = await rig.trade("POST", "/api/order", "k1", json=BUY)

    assert (answer.status, answer.headers["Retry-After"]) == (202, "7")


async def test_no_answer_is_202_and_looked_for_until_it_is_known(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(order_reconcile_interval_s=0.01)
    broker = await rig.trades()
    broker.silent = True

    answer = await rig.trade("POST", "/api/order", "k/1", json=BUY)
    gauge = rig.context.metrics.orders.unknown
    assert (answer.status, answer.json["outcome"], answer.json["final"]) == (202, "Unknown", False)
    assert answer.headers["Location"] == "order/k%2F1"
    assert _value(gauge) == 1
    assert answer.json["reason"] == "LookingForIt"

    desk = rig.context.office.desk
    await eventually(lambda: desk.unknown == {"k/1": "Settling"})
    waits = await rig.get("/api/order/k%2F1")
    again = await rig.trade("POST", "/api/order", "k/1", json=BUY)
    assert [seen.json["reason"] for seen in (waits, again)] == ["Settling", "Settling"]

    sent = broker.sent[0]
    marks = {"comment": sent["comment"], "magic": sent["magic"]}
    broker.past_orders = [order(7, state=4, type=0, time_done=int(time.time()), **marks)]
    await eventually(lambda: _value(gauge) == 0)

    known = await rig.get("/api/order/k%2F1")
    assert (known.json["outcome"], known.json["order"], known.json["evidence"]) == (
        "Done",
        7,
        "token",
    )
    assert len(broker.sent) == 1


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/order", "api/order/k"),
        ("/api/order", "order/k"),
        ("/api/order?account_id=10001", "order/k?account_id=10001"),
    ],
)
async def test_the_way_to_the_outcome_is_relative_so_that_it_leads_through_the_router(
    rig: Rig, broker: ScriptedBroker, path: str, location: str
) -> None:
    broker.silent = True

    answer = await rig.trade("POST", path, "k", json=BUY)

    assert answer.headers["Location"] == location


async def test_pending_orders_and_positions_are_changed_and_closed(
    rig: Rig, broker: ScriptedBroker
) -> None:
    rig.agent.orders = [order(9, volume_current=0.1)]
    rig.agent.positions = [position(7), position(8, type=1)]

    answers = [
        await rig.trade("PATCH", "/api/orders/9", "a", json={"price": "1.06000"}),
        await rig.trade("DELETE", "/api/orders/9", "b"),
        await rig.trade("PATCH", "/api/positions/7", "c", json={"sl": "1.05000"}),
        await rig.trade("DELETE", "/api/positions/7", "d", json={"volume": 0.05}),
        await rig.trade("DELETE", "/api/positions/7?volume=0.04", "e"),
        await rig.trade("POST", "/api/positions/7/close-by", "f", json={"position_by": 8}),
    ]

    assert [answer.status for answer in answers] == [200] * 6
    assert [sent["action"] for sent in broker.sent] == [7, 8, 6, 1, 1, 10]
    assert [broker.sent[n]["volume"] for n in (3, 4)] == [0.05, 0.04]


@pytest.mark.parametrize(
    ("method", "path", "key", "body", "status", "problem"),
    [
        ("POST", "/api/order", None, BUY, 400, "bad-key"),
        ("POST", "/api/order", "k", {}, 400, "bad-body"),
        ("POST", "/api/order", "k", BUY | {"lots": 1}, 400, "bad-body"),
        ("POST", "/api/order", "k", [], 400, "bad-body"),
        ("POST", "/api/order", "k", BUY | {"client_order_id": "other"}, 400, "bad-key"),
        ("POST", "/api/order", "k", BUY | {"client_order_id": 5}, 400, "bad-key"),
        ("POST", "/api/order", "k", BUY | {"account_id": "10002"}, 421, "misdirected"),
        ("POST", "/api/order", "k", BUY | {"symbol": "NOPE"}, 404, "unknown-symbol"),
        ("DELETE", "/api/positions/77", "k", None, 404, "unknown-target"),
        ("DELETE", "/api/positions/x", "k", None, 400, "invalid-request"),
        ("DELETE", "/api/positions/0", "k", None, 400, "invalid-request"),
        ("DELETE", f"/api/positions/{2**63}", "k", None, 400, "invalid-request"),
        ("DELETE", "/api/positions/7?volume=1", "k", {"volume": 2}, 400, "bad-body"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_nothing_is_sent(
    rig: Rig,
    broker: ScriptedBroker,
    method: str,
    path: str,
    key: str | None,
    body: Any,
    status: int,
    problem: str,
) -> None:
    answer = await rig.trade(method, path, key, json=body)

    assert (answer.status, answer.problem) == (status, f"/problems/{problem}")
    assert not broker.sent


@pytest.mark.parametrize("path", ["/api/order", "/api/order/check"])
async def test_a_body_that_names_another_account_than_its_route_is_not_to_be_repeated(
    rig: Rig, broker: ScriptedBroker, path: str
) -> None:
    answer = await rig.request(
        "POST",
        path,
        key=api_key("trader"),
        headers={"X-MT5-Account-Id": "10001", "Idempotency-Key": "k"},
        json=BUY | {"account_id": "10002"},
    )

    # The router takes 421 for a route that is about to change.
    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")
    assert not broker.sent


@pytest.mark.parametrize("account_id", ["10001", 10001])
async def test_a_body_that_names_this_account_is_taken(
    rig: Rig, broker: ScriptedBroker, account_id: Any
) -> None:
    body = BUY | {"account_id": account_id, "client_order_id": "k"}

    assert (await rig.trade("POST", "/api/order", json=body)).status == 200


async def test_an_order_is_checked_without_being_sent(rig: Rig, broker: ScriptedBroker) -> None:
    answer = await rig.trade("POST", "/api/order/check", json=BUY | {"client_order_id": "k"})

    assert (answer.status, answer.json["ok"], answer.json["margin"]) == (200, True, 108.52)
    assert not broker.sent


async def test_an_unknown_key_is_404(rig: Rig, broker: ScriptedBroker) -> None:
    answer = await rig.get("/api/order/never")

    assert (answer.status, answer.problem) == (404, "/problems/key-unknown")


async def test_to_read_is_not_to_trade(rig: Rig, broker: ScriptedBroker) -> None:
    headers = {"Idempotency-Key": "k"}

    answer = await rig.request("POST", "/api/order", key=KEY, json=BUY, headers=headers)

    assert (answer.status, answer.problem) == (403, "/problems/forbidden")
    assert not broker.sent


async def test_without_a_journal_everything_is_read_and_nothing_sent(rig_with: RigWith) -> None:
    rig = await rig_with()
    await rig.stop()
    (rig.folder / "journal/orders.sqlite").write_bytes(b"not a journal, whatever it was" * 50)
    rig.sidecar = Sidecar(rig.settings)
    await rig.start()
    rig.put_account(enabled=True)
    await rig.connected()

    answer = await rig.request("POST", "/api/order/check", json=BUY, key=KEY)
    asked = await rig.get("/api/order/k")

    assert answer.status == 403
    assert (asked.status, asked.problem) == (503, "/problems/journal-unreadable")
    assert asked.headers["Retry-After"]
    assert (await rig.get("/api/account")).status == 200
    assert (await rig.ops("/readyz")).status == 200


async def test_a_journal_that_comes_free_is_used(rig_with: RigWith) -> None:
    first = await rig_with()
    second = Rig(first.folder, journal_dir=first.settings.journal_dir)
    woken = asyncio.Event()
    second.context.office._sleep = lambda _seconds: woken.wait()
    await second.start()
    held = await second.get("/api/order/k")
    await first.stop()

    woken.set()

    await eventually(lambda: second.context.office._desk)
    assert held.problem == "/problems/journal-busy"
    assert (await second.get("/api/order/k")).problem == "/problems/key-unknown"
    await second.stop()


async def test_a_new_journal_waits_until_the_terminals_history_must_be_whole(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(order_newborn_s=3600)
    rig.put_account(enabled=True)
    rig.put_keys([TRADER])
    rig.look()
    await rig.connected()

    answer = await rig.trade("POST", "/api/order", "k", json=BUY)

    assert (answer.status, answer.problem) == (503, "/problems/settling")


async def test_the_end_waits_for_the_order_in_the_call_and_takes_no_other(
    rig_with: RigWith,
) -> None:
    rig = await rig_with()
    broker = await rig.trades()
    broker.holds = True
    sending = asyncio.create_task(rig.trade("POST", "/api/order", "k1", json=BUY))
    await eventually(lambda: broker.held)

    stopping = asyncio.create_task(rig.sidecar.stop())
    await eventually(lambda: rig.context.office._stopping)
    late = await rig.trade("POST", "/api/order", "k2", json=BUY)
    broker.answers()

    assert (late.status, late.problem) == (503, "/problems/stopping")
    assert ((await sending).status, len(broker.sent)) == (200, 1)
    await stopping


async def test_every_trade_and_every_refusal_leaves_a_line_without_secrets(
    rig: Rig, broker: ScriptedBroker
) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        await rig.trade("POST", "/api/order", "k1", json=BUY | {"comment": "mine"})
        await rig.trade("POST", "/api/order", "k2", json=BUY | {"volume": "0.001"})
        await rig.request("POST", "/api/order", key=KEY, json=BUY)

    done, broken = (line for line in lines if line["event"] == "trade")
    assert (done["subject"], done["key"], done["outcome"]) == ("key:trader", "k1", "Done")
    assert done["asked"] == {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}
    assert done["request_id"]
    assert (broken["key"], broken["problem"], broken["limit"]) == (
        "k2",
        "broken-limit",
        "volume_min",
    )
    assert [line["subject"] for line in lines if line["event"] == "refused"][-1] == "key:own"
    assert not [line for line in lines if "mine" in str(line) or api_key("trader") in str(line)]


async def test_trades_are_counted(rig: Rig, broker: ScriptedBroker) -> None:
    await rig.trade("POST", "/api/order", "k1", json=BUY)
    await rig.trade("POST", "/api/order", "k2", json=BUY | {"volume": "0.001"})

    text = (await rig.ops("/metrics")).body.decode()

    assert 'mt5_sidecar_orders_total{operation="order",outcome="Done"} 1.0' in text
    assert 'mt5_sidecar_order_refusals_total{problem="broken-limit"} 1.0' in text
    assert "mt5_sidecar_journal_write_seconds_count 4.0" in text
    assert "mt5_sidecar_orders_ready 1.0" in text


async def test_streams_hear_what_became_of_a_trade(rig: Rig, broker: ScriptedBroker) -> None:
    account, status = await rig.ws(), await rig.ws("/ws/status")

    await rig.trade("POST", "/api/order", "k1", json=BUY)
    rig.agent.says("Disconnected", "BrokerUnreachable")

    assert await _first_event(account) == "order_outcome"
    assert await _first_event(status) == "status"


async def _first_event(socket: Any) -> str:
    async with asyncio.timeout(patience_s(5)):
        while True:
            message = json.loads(await socket.recv())
            if "event" in message:
                return str(message["type"])


def _value(gauge: Any) -> float:
    return float(gauge.collect()[0].samples[0].value)


async def test_orders_go_by_the_offset_that_is_configured_and_need_no_other(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(broker_utc_offset_s=10_800)
    broker = await rig.trades()
    limit = {"symbol": "EURUSD", "side": "buy", "type": "limit", "volume": "0.10", "price": "1.07"}
    until = limit | {"expiration": "2026-12-01T00:00:00Z"}

    status = await rig.get("/api/status")
    answer = await rig.trade("POST", "/api/order", "k1", json=until)
    rig.agent.says("Connected", utc_offset_s=None)
    rig.agent.shows("orders", [order(9)])
    await eventually(lambda: rig.context.board.items("orders"))
    weekend = await rig.trade("POST", "/api/order", "k2", json=until | {"volume": "0.20"})

    # The agent estimates 7200.
    assert status.json["utc_offset_s"] == 10_800
    assert (answer.status, weekend.status) == (200, 200)
    assert [sent["expiration"] for sent in broker.sent] == [1_796_083_200 + 10_800] * 2
    assert rig.context.feed.zone_s == rig.context.terminal.connection.utc_offset_s == 10_800


@pytest.mark.parametrize(
    "query", ["Volume=0.01", "volume=0.02&volume=0.01", "volume=0.01&deviation=1", "volumes=0.01"]
)
async def test_a_query_that_a_close_does_not_know_closes_nothing(
    rig: Rig, broker: ScriptedBroker, query: str
) -> None:
    rig.agent.positions = [position(7)]

    answer = await rig.trade("DELETE", f"/api/positions/7?{query}", "k1")

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")
    assert broker.sent == []


@pytest.mark.parametrize(
    "path",
    ["order?volume=5", "order/check?volume=5", "order?account_id=10001&account_id=10001"],
)
async def test_a_trade_takes_nothing_else_from_its_query(
    rig: Rig, broker: ScriptedBroker, path: str
) -> None:
    answer = await rig.trade("POST", f"/api/{path}", "k1", json=BUY)
    known = await rig.trade("POST", "/api/order?account_id=10001", "k2", json=BUY)

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")
    assert (known.status, len(broker.sent)) == (200, 1)


async def test_a_trade_with_two_key_headers_is_refused(rig: Rig, broker: ScriptedBroker) -> None:
    keys = [("X-API-Key", api_key("trader")), (KEY_HEADER, "k1"), (KEY_HEADER, "k2")]
    url = f"http://127.0.0.1:{rig.sidecar.api_port}/api/order"

    async with (
        aiohttp.ClientSession() as session,
        session.post(url, headers=CIMultiDict(keys), json=BUY) as answer,
    ):
        problem = await answer.json(content_type=None)

    assert (answer.status, problem["type"]) == (400, "/problems/bad-key")
    assert broker.sent == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"symbol":"EURUSD","side":"buy","type":"market","volume":0.01,"volume":1}',
        b'{"symbol":"EURUSD","side":"buy","type":"market","volume":0.01,"vol\\u0075me":1}',
        b'{"symbol":"EURUSD","side":"buy","side":"buy","type":"market","volume":0.01}',
    ],
)
async def test_a_body_that_says_something_twice_is_refused(
    rig: Rig, broker: ScriptedBroker, body: bytes
) -> None:
    """Which of them is meant nobody knows, and a proxy on the way may have read the other one."""
    told = await rig.trade("POST", "/api/order", "k1", data=body)

    assert (told.status, told.problem) == (400, "/problems/bad-body")
    assert "more than once" in told.json["detail"]
    assert not broker.sent


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"client_order_id":"k","comment":"\xff"}', "bad-body"),
        (b'{"client_order_id":"\xed\xa0\x80"}', "bad-key"),
    ],
)
async def test_a_body_that_is_no_utf_8_is_the_clients_fault(
    rig: Rig, broker: ScriptedBroker, body: bytes, problem: str
) -> None:
    key = [("X-API-Key", api_key("trader"))]
    url = f"http://127.0.0.1:{rig.sidecar.api_port}/api/order"

    async with (
        aiohttp.ClientSession() as session,
        session.post(url, headers=CIMultiDict(key), data=body) as answer,
    ):
        told = await answer.json(content_type=None)

    assert (answer.status, told["type"]) == (400, f"/problems/{problem}")
    assert not broker.sent
