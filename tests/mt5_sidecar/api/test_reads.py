# SPDX-License-Identifier: Apache-2.0
from collections.abc import Awaitable, Callable
from datetime import datetime
from platform import python_version

import msgspec
import pytest
from account_records import ACCOUNT, order, position, symbol_info, tick
from scripted_agent import UTC_MS
from sidecar_rig import Rig, eventually

from mt5_sidecar import __version__
from mt5_sidecar.api.operation import Operation
from mt5_sidecar.api.operations import OPERATIONS

RigWith = Callable[..., Awaitable[Rig]]


async def test_the_account_is_read_with_its_currencys_digits(bridge: Rig) -> None:
    answer = await bridge.get("/api/account")

    assert answer.status == 200
    assert b'"balance":10000.00' in answer.body
    assert b'"margin_level":0.30' in answer.body
    assert answer.json["account"]["login"] == 10001
    assert answer.json["stale"] is False


async def test_prices_keep_their_symbols_digits_and_times_are_utc_beside_the_brokers(
    rig: Rig,
) -> None:
    agent = rig.new_agent()
    agent.positions = [position(7)]
    await rig.connected(agent)

    answer = await rig.get("/api/positions")

    assert b'"price_open":1.08000' in answer.body
    assert b'"volume":0.10' in answer.body
    (seen,) = answer.json["positions"]
    assert seen["side"] == "buy"
    assert seen["time_broker_ms"] - answer.json["utc_offset_s"] * 1000 == 1_795_248_000_000
    assert seen["time"] == "2026-11-21T08:00:00.000Z"


async def test_no_positions_are_an_empty_list_and_not_an_error(bridge: Rig) -> None:
    answer = await bridge.get("/api/positions")

    assert answer.json["positions"] == []
    assert answer.json["version"] > 0


async def test_pending_orders_have_names_beside_numbers(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.orders = [order(9)]
    await rig.connected(agent)

    (seen,) = (await rig.get("/api/orders")).json["orders"]

    assert (seen["type"], seen["type_name"], seen["state_name"]) == (2, "buy_limit", "placed")


async def test_an_unchanged_snapshot_is_304_and_a_changed_one_is_not(bridge: Rig) -> None:
    first = await bridge.get("/api/positions")
    etag = {"If-None-Match": first.headers["ETag"]}

    again = await bridge.get("/api/positions", headers=etag)
    bridge.agent.shows("positions", [position(1)])
    await eventually(lambda: bridge.context.board.items("positions"))
    changed = await bridge.get("/api/positions", headers=etag)

    assert (again.status, again.body) == (304, b"")
    assert changed.status == 200
    assert changed.json["version"] > first.json["version"]


async def test_a_body_is_made_once_for_all_readers_of_a_version(bridge: Rig) -> None:
    for _ in range(5):
        await bridge.get("/api/account")

    assert bridge.context.metrics.snapshot_made._value.get() == 1
    assert bridge.context.metrics.snapshot_kept._value.get() == 4


async def test_before_the_first_snapshot_reads_say_why_there_is_none(rig: Rig) -> None:
    answer = await rig.get("/api/account")

    assert (answer.status, answer.problem) == (503, "/problems/terminal-unavailable")
    assert answer.json["reason"] == "AgentMissing"
    assert answer.headers["Retry-After"]


async def test_reads_answer_the_last_snapshot_marked_stale_while_the_terminal_is_away(
    bridge: Rig,
) -> None:
    fresh = await bridge.get("/api/account")
    await bridge.agent.stop()
    await eventually(lambda: not bridge.context.terminal.connection.connected)

    answer = await bridge.get("/api/account")

    assert answer.status == 200
    assert answer.json["stale"] is True
    assert answer.json["stale_since"]
    assert answer.headers["ETag"] != fresh.headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "status"), [("1e12", 200), ("0.001", 503), ("x", 400), ("-1", 400), ("nan", 400)]
)
async def test_max_age_is_kept_or_refused(bridge: Rig, asked: str, status: int) -> None:
    assert (await bridge.get(f"/api/account?max_age={asked}")).status == status


async def test_a_symbol_is_asked_of_the_terminal(bridge: Rig) -> None:
    known = await bridge.get("/api/symbols/EURUSD")
    unknown = await bridge.get("/api/symbols/NOPE")

    assert known.json["symbol"]["digits"] == 5
    assert b'"bid":1.08500' in known.body
    assert (unknown.status, unknown.problem) == (404, "/problems/unknown-symbol")


async def test_ticks_of_a_symbol_that_nobody_watches_are_fetched(bridge: Rig) -> None:
    bridge.agent.symbols["XAUUSD"] = symbol_info("XAUUSD", digits=2)

    answer = await bridge.get("/api/ticks?symbols=EURUSD,XAUUSD")

    assert b'"symbol":"XAUUSD","bid":1.50' in answer.body
    assert [tick["symbol"] for tick in answer.json["ticks"]] == ["EURUSD", "XAUUSD"]
    assert [t["symbol"] for t in (await bridge.get("/api/ticks")).json["ticks"]] == ["EURUSD"]


@pytest.mark.parametrize("symbols", ["", "A" * 30, ",".join(f"S{n}" for n in range(51)), "A%00"])
async def test_symbols_that_cannot_be_are_refused(bridge: Rig, symbols: str) -> None:
    assert (await bridge.get(f"/api/ticks?symbols={symbols}")).status == (400 if symbols else 200)


async def test_the_account_has_its_login_and_money(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.account = msgspec.structs.replace(
        ACCOUNT, equity=10012.5, margin=33.25, margin_free=9979.25, profit=12.5
    )
    await rig.connected(agent)

    seen = (await rig.get("/api/account")).json["account"]

    names = ("login", "balance", "equity", "margin", "margin_free", "profit")
    assert [seen[name] for name in names] == [10001, 10000, 10012.5, 33.25, 9979.25, 12.5]


async def test_a_position_says_what_is_held_and_what_it_is_worth(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.positions = [position(7, type=1, profit=-50.5)]
    await rig.connected(agent)

    (seen,) = (await rig.get("/api/positions")).json["positions"]

    wanted = {"ticket": 7, "symbol": "EURUSD", "type": 1, "side": "sell", "volume": 0.1}
    prices = {"price_open": 1.08, "price_current": 1.085, "profit": -50.5}
    assert {name: seen[name] for name in wanted | prices} == wanted | prices


async def test_a_tick_has_its_time_in_utc_prices_and_volume(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.ticks["EURUSD"] = msgspec.structs.replace(tick(1.085, 1.0852), last=1.0851, volume=7)
    await rig.connected(agent)

    (seen,) = (await rig.get("/api/ticks")).json["ticks"]

    wanted = {"symbol": "EURUSD", "time": "2026-11-21T08:00:00.000Z", "bid": 1.085}
    rest = {"ask": 1.0852, "last": 1.0851, "volume": 7}
    assert {name: seen[name] for name in wanted | rest} == wanted | rest


@pytest.mark.parametrize("path", ["account", "positions", "orders", "ticks"])
async def test_every_snapshot_says_in_utc_when_it_was_seen(bridge: Rig, path: str) -> None:
    answer = await bridge.get(f"/api/{path}")

    assert datetime.fromisoformat(answer.json["time"]).timestamp() * 1000 == UTC_MS
    assert answer.json["time"].endswith("Z")


@pytest.mark.parametrize("path", ["/api/health", "/health"])
async def test_health_needs_no_key_and_says_nothing_of_the_account(rig: Rig, path: str) -> None:
    answer = await rig.get(path, key=None)

    assert answer.status == 200
    assert set(answer.json) == {"status", "version", "time"}
    assert answer.json["status"] == "ok"


async def test_status_tells_the_connection_and_what_runs(bridge: Rig) -> None:
    await bridge.ws()
    seen = (await bridge.get("/api/status")).json

    wanted = {"state": "Connected", "reason": "", "stale": False, "credentials": "Valid"}
    whose = {"account_id": "10001", "login": 10001, "server": "Simulator-Demo", "slot": "a"}
    assert {name: seen[name] for name in wanted | whose} == wanted | whose
    assert seen["websocket_clients"] == 1
    assert seen["last_contact"].endswith("Z")
    assert seen["versions"] == {
        "sidecar": __version__,
        "sidecar_python": python_version(),
        "agent": "0.1.0",
        "python": "3.9.13",  # of Wine's Windows, say
        "package": "5.0.1",
        "terminal_build": 0,
        "backend": "scripted",
    }


async def test_status_names_the_pod_that_answers(rig_with: RigWith) -> None:
    rig = await rig_with(pod_name="demo-a-0")

    assert (await rig.get("/api/status")).json["instance_id"] == "demo-a-0"


async def test_status_names_why_there_is_no_connection(bridge: Rig) -> None:
    bridge.agent.says("Disconnected", "BrokerUnreachable")
    await eventually(lambda: not bridge.context.terminal.connection.connected)

    seen = (await bridge.get("/api/status")).json

    assert (seen["state"], seen["reason"]) == ("Disconnected", "BrokerUnreachable")


ALIASED = [o for o in OPERATIONS if o.method == "GET" and o.aliases and not o.websocket]


@pytest.mark.parametrize("operation", ALIASED, ids=lambda o: str(o.path))
async def test_every_alias_answers_as_its_path_does(bridge: Rig, operation: Operation) -> None:
    answer = await bridge.get(operation.path)

    for alias in operation.aliases:
        other = await bridge.get(alias)
        assert (other.status, set(other.json)) == (answer.status, set(answer.json)), alias
