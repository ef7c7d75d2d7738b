# SPDX-License-Identifier: Apache-2.0
import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from platform import python_version

import msgspec
import pytest
from account_records import ACCOUNT, order, position, symbol_info, tick
from scripted_agent import UTC_MS, done, failed
from sidecar_rig import KEY, Rig, eventually, heard

from cluster.waiting import patience_s
from mt5_agent import protocol
from mt5_sidecar import __version__
from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.api.requests.operation import Operation
from mt5_sidecar.domain import views
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.streams import reads

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

    assert bridge.context.metrics.account.bodies_made._value.get() == 1
    assert bridge.context.metrics.account.bodies_kept._value.get() == 4


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


async def test_max_age_is_of_the_account_and_not_of_a_terminal_that_lost_its_broker(
    bridge: Rig,
) -> None:
    terminal, lost_ms = bridge.context.terminal, now_ms() - 6000
    bridge.agent.says("Disconnected", "BrokerUnreachable", last_contact_ms=lost_ms)
    await eventually(lambda: not terminal.connection.connected)
    # It answers on, and shows what it had.
    bridge.agent.says("Disconnected", "BrokerUnreachable", last_contact_ms=now_ms())
    await eventually(lambda: terminal.connection.last_contact_ms > lost_ms)

    younger = await bridge.get("/api/positions?max_age=5")
    named = await bridge.get("/api/ticks?symbols=EURUSD&max_age=5")
    older = await bridge.get("/api/positions?max_age=60")

    assert (younger.status, younger.problem) == (503, "/problems/snapshot-too-old")
    assert re.fullmatch(r"the account was last current \d+\.\d s ago", younger.json["detail"])
    assert younger.json["reason"] == "BrokerUnreachable"
    assert named.status == 503
    assert (older.status, older.json["stale"]) == (200, True)


async def test_positions_that_are_too_many_to_be_told_are_stale_and_the_status_says_why(
    bridge: Rig,
) -> None:
    socket = await bridge.ws()
    await heard(socket, "snapshot")
    bridge.agent.shows("positions", [position(1)])
    await heard(socket, "positions")

    bridge.agent.says("Connected", unshown=("positions",))
    told = (await heard(socket, "status"))["data"]
    answer = await bridge.get("/api/positions")
    metrics = (await bridge.ops("/metrics")).body
    # Small enough again: of this, too, the state is told before the positions are.
    bridge.agent.says("Connected")
    await eventually(lambda: not bridge.context.terminal.connection.unshown)
    between = (await bridge.get("/api/positions")).json["stale"]
    bridge.agent.shows("positions", [position(1), position(2)])
    later = (await heard(socket, "positions"))["data"]
    bridge.look()

    assert (told["state"], told["connected"], told["stale"]) == ("Connected", True, True)
    assert "more positions than can be shown" in told["message"]
    assert (answer.status, answer.json["stale"]) == (200, True)
    assert b"mt5_sidecar_unshown 1.0" in metrics
    assert between is True
    assert len(later["changed"]) == 1
    assert (await bridge.get("/api/positions")).json["stale"] is False


async def test_what_is_old_passes_no_max_age_because_the_clock_was_set_back(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.agent.says("Connected", last_contact_ms=now_ms())
    await eventually(lambda: bridge.context.terminal.connection.last_contact_ms > UTC_MS)
    current = await bridge.get("/api/positions?max_age=5")

    freshness = bridge.context.feed.freshness
    monkeypatch.setattr(freshness, "_clock", lambda: now_ms() - 3_600_000)
    monkeypatch.setattr(freshness, "_monotonic", lambda: time.monotonic() + 6)
    older = await bridge.get("/api/positions?max_age=5")
    await bridge.agent.stop()
    await eventually(lambda: not bridge.context.terminal.connection.connected)
    stale = await bridge.get("/api/positions?max_age=5")

    assert current.status == 200
    assert (older.status, older.problem) == (503, "/problems/snapshot-too-old")
    assert (stale.status, stale.problem) == (503, "/problems/snapshot-too-old")


async def _raw(rig: Rig, *requests: str, until: Callable[[bytes], bool]) -> bytes:
    """Return what comes for requests that are sent at once on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.sidecar.api_port)
    writer.write("".join(requests).encode())
    data = b""
    async with asyncio.timeout(patience_s(5)):
        while not until(data) and (part := await reader.read(65_536)):
            data += part
    writer.close()
    return data


async def test_a_hot_read_is_a_whole_http_answer_each_time_it_is_asked_for(bridge: Rig) -> None:
    ask = f"GET /api/account HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nX-Request-Id: r%d\r\n\r\n"
    etag = (await bridge.get("/api/account")).headers["ETag"]
    again = ask.replace("\r\n\r\n", f"\r\nIf-None-Match: {etag}\r\n\r\n")

    data = await _raw(
        bridge,
        *(ask % 1, again % 2, ask % 3),
        until=lambda data: data.count(b"HTTP/1.1 ") == 3 and data.endswith(b"}"),
    )

    first, kept, last = (b"HTTP/1.1 " + part for part in data.split(b"HTTP/1.1 ")[1:])
    for number, answer in ((1, first), (3, last)):
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert int(lines[b"Content-Length"]) == len(body)
        assert lines[b"Content-Type"] == b"application/json"
        assert lines[b"Cache-Control"] == b"private, no-cache"
        assert lines[b"X-Request-Id"] == b"r%d" % number
        assert lines[b"Etag"].decode() == etag
        sent = parsedate_to_datetime(lines[b"Date"].decode())
        assert abs((datetime.now(UTC) - sent).total_seconds()) < 60
        assert msgspec.json.decode(body)["account"]["login"] == 10001
    assert kept.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert kept.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("version", "connection"), [("1.0", "X-None: 1"), ("1.1", "Connection: close")]
)
async def test_a_connection_that_ends_with_its_answer_is_told_so(
    bridge: Rig, version: str, connection: str
) -> None:
    ask = f"GET /api/account HTTP/{version}\r\nHost: x\r\nX-API-Key: {KEY}\r\n{connection}\r\n\r\n"

    # Until the sidecar hangs up.
    data = await _raw(bridge, ask, until=lambda _: False)

    assert data.startswith(f"HTTP/{version} 200 OK\r\n".encode())
    assert data.endswith(b"}")
    assert (b"Connection: close" in data) == (version == "1.1")


async def test_only_the_fields_that_are_asked_for_come_with_their_digits(rig: Rig) -> None:
    agent = rig.new_agent()
    agent.positions = [position(7), position(8)]
    await rig.connected(agent)

    answer = await rig.get("/api/positions?fields=price_open,ticket")
    account = await rig.get("/api/account?fields=balance")
    ticks = await rig.get("/api/ticks?symbols=EURUSD&fields=bid")

    assert b'"positions":[{"ticket":7,"price_open":1.08000},{"ticket":8,' in answer.body
    assert {"version", "time", "stale", "utc_offset_s"} < set(answer.json)
    assert b'"account":{"balance":10000.00}' in account.body
    assert b'"ticks":[{"bid":1.08500}]' in ticks.body


async def test_a_choice_of_fields_has_an_etag_of_its_own_and_is_kept(bridge: Rig) -> None:
    whole = await bridge.get("/api/account")
    some = await bridge.get("/api/account?fields=login,balance")
    same = await bridge.get("/api/account?fields=balance,login")
    made = bridge.context.metrics.account.bodies_made._value.get()

    crossed = await bridge.get("/api/account", headers={"If-None-Match": some.headers["ETag"]})
    kept = await bridge.get(
        "/api/account?fields=login,balance", headers={"If-None-Match": some.headers["ETag"]}
    )

    assert whole.headers["ETag"] != some.headers["ETag"] == same.headers["ETag"]
    assert (crossed.status, kept.status) == (200, 304)
    assert bridge.context.metrics.account.bodies_made._value.get() == made == 2


@pytest.mark.parametrize("fields", ["nope", "", "login,", "login,balance,x"])
async def test_a_field_that_is_not_there_is_refused(bridge: Rig, fields: str) -> None:
    answer = await bridge.get(f"/api/account?fields={fields}")

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")
    assert "balance" in answer.json["fields"]


async def test_bodies_of_chosen_fields_are_bounded(bridge: Rig) -> None:
    names = views.Account.__struct_fields__
    for first in names:
        for second in names[:5]:
            await bridge.get(f"/api/account?fields={first},{second}")

    assert len(bridge.context.reads._made) == reads.MOST_BODIES


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


async def test_the_first_price_of_a_symbol_is_waited_for(bridge: Rig) -> None:
    agent = bridge.agent
    prices = {"XAUUSD": [0.0, 0.0, 1.5], "XAGUSD": [0.0, 2.5]}
    agent.symbols |= {name: symbol_info(name) for name in prices}

    def next_tick(request: protocol.Request) -> protocol.Answer:
        bid = prices[request.args[0]].pop(0)
        return done(request, tick(bid, bid))

    agent.replies["symbol_info_tick"] = next_tick

    answer = await bridge.get("/api/ticks?symbols=XAUUSD,XAGUSD")

    assert [t["bid"] for t in answer.json["ticks"]] == [1.5, 2.5]
    assert prices == {"XAUUSD": [], "XAGUSD": []}


async def test_a_price_that_does_not_come_is_not_told_as_0(rig_with: RigWith) -> None:
    rig = await rig_with(first_tick_timeout_s=0.01)
    await rig.connected()
    rig.agent.symbols["XAUUSD"] = msgspec.structs.replace(symbol_info("XAUUSD"), bid=0.0)
    rig.agent.replies["symbol_info_tick"] = lambda r: done(r, tick(0.0, 0.0))

    ticks = await rig.get("/api/ticks?symbols=EURUSD,XAUUSD")
    symbol = await rig.get("/api/symbols/XAUUSD")

    assert (ticks.status, ticks.problem) == (503, "/problems/no-price")
    assert (ticks.json["symbol"], ticks.headers["Retry-After"]) == ("XAUUSD", "1")
    seen = symbol.json["symbol"]
    assert (symbol.status, seen["bid"], seen["ask"], seen["digits"]) == (200, None, None, 5)


async def test_a_symbol_that_is_not_selected_is_and_its_first_price_comes_with_it(
    bridge: Rig,
) -> None:
    agent = bridge.agent
    unpriced = msgspec.structs.replace(symbol_info("XAUUSD"), bid=0.0)
    agent.symbols["XAUUSD"] = unpriced

    def select(request: protocol.Request) -> protocol.Answer:
        agent.symbols["XAUUSD"] = msgspec.structs.replace(unpriced, select=True, bid=1.5)
        return done(request, result=True)

    agent.replies["symbol_select"] = select

    seen = (await bridge.get("/api/symbols/XAUUSD")).json["symbol"]

    assert (seen["bid"], seen["select"]) == (1.5, True)


@pytest.mark.parametrize(
    ("code", "status", "problem"), [(-1, 404, "unknown-symbol"), (-10001, 502, "terminal-refused")]
)
@pytest.mark.parametrize("path", ["/api/ticks?symbols=XAUUSD", "/api/rates?symbol=XAUUSD"])
async def test_a_symbol_that_the_terminal_does_not_show_is_refused_alike(
    bridge: Rig, path: str, code: int, status: int, problem: str
) -> None:
    bridge.agent.symbols["XAUUSD"] = symbol_info("XAUUSD")
    bridge.agent.replies["symbol_select"] = lambda r: failed(r, code, "not shown")

    answer = await bridge.get(path)

    assert (answer.status, answer.problem) == (status, f"/problems/{problem}")


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


@pytest.mark.parametrize(
    "path",
    [
        "/api/positions?symbol=EURUSD",
        "/api/positions?Max_age=5",
        "/api/positions?max_age=1&max_age=100",
        "/api/history?from=1&since=2",
        "/api/symbols/EURUSD?fields=bid",
        "/ws?symbol=EURUSD",
    ],
)
async def test_a_parameter_that_would_be_passed_over_is_refused(bridge: Rig, path: str) -> None:
    answer = await bridge.get(path)

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")
    assert "parameter" in answer.json["detail"] or "more than once" in answer.json["detail"]


async def test_the_account_may_be_named_in_each_query(bridge: Rig) -> None:
    paths = ("/api/positions?account_id=10001", "/api/ticks?symbol=EURUSD&account_id=10001")

    assert [(await bridge.get(path)).status for path in paths] == [200, 200]


@pytest.mark.parametrize("path", ["/api/account%0A", "/api%0Aorder", "/%0A"])
async def test_a_path_of_several_lines_is_unknown_like_any_other(bridge: Rig, path: str) -> None:
    answer = await bridge.get(path)

    assert (answer.status, answer.problem) == (404, "/problems/unknown-path")
    assert answer.headers["X-Request-Id"]
