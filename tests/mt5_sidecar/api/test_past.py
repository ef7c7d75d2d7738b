# SPDX-License-Identifier: Apache-2.0
"""History, bars and the list of symbols: what is asked of the terminal, and how it is paged."""

import time
from typing import Any

import pytest
from account_records import blank, order, position, symbol_info
from scripted_agent import done, failed
from scripted_broker import ScriptedBroker
from sidecar_rig import Rig, eventually

from mt5_agent import protocol
from mt5_agent.protocol import records
from mt5_sidecar.api.context import settled

ZONE_S = 7200
NOW_S = int(time.time())


def deal(ticket: int, *, ago_s: int, **fields: Any) -> records.Deal:
    broker_s = NOW_S - ago_s + ZONE_S
    given = {"symbol": "EURUSD", "volume": 0.1, "price": 1.08, "profit": 1.0, "entry": 1}
    times = {"time": broker_s, "time_msc": broker_s * 1000}
    made: records.Deal = blank(records.Deal, ticket=ticket, **(given | times | fields))
    return made


def past(ticket: int, *, ago_s: int) -> records.Order:
    broker_s = NOW_S - ago_s + ZONE_S
    return order(ticket, state=4, time_done=broker_s, time_done_msc=broker_s * 1000)


@pytest.fixture
def old(broker: ScriptedBroker) -> ScriptedBroker:
    """A broker with five deals and an order between the second and the third."""
    broker.deals = [deal(n, ago_s=600 - n * 10) for n in range(1, 6)]
    broker.past_orders = [past(9, ago_s=575)]
    for kind in ("deals", "orders"):
        broker.agent.replies[f"history_{kind}_total"] = lambda r: done(r, 5)
    return broker


async def pages(rig: Rig, query: str) -> list[Any]:
    found, cursor = [], ""
    while cursor is not None:
        answer = await rig.get(f"/api/history?{query}{cursor and '&cursor=' + cursor}")
        assert answer.status == 200, answer.body
        found.append(answer.json)
        cursor = answer.json["cursor"]
    return found


async def test_history_comes_in_pages_that_miss_and_repeat_nothing(
    rig: Rig, old: ScriptedBroker
) -> None:
    seen = await pages(rig, "days=1&limit=2")

    assert [[d["ticket"] for d in page["deals"]] for page in seen] == [[1, 2], [3], [4, 5]]
    assert [[o["ticket"] for o in page["orders"]] for page in seen] == [[], [9], []]
    first = seen[0]["deals"][0]
    assert (first["type_name"], first["entry_name"]) == ("buy", "out")
    assert first["time"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(NOW_S - 590))
    assert (first["ticket"], first["order"], first["symbol"]) == (1, 0, "EURUSD")
    assert (first["volume"], first["price"], first["profit"]) == (0.1, 1.08, 1.0)


async def test_a_period_is_in_utc_and_asked_on_the_brokers_clock(
    rig: Rig, old: ScriptedBroker
) -> None:
    (page,) = await pages(rig, f"from={NOW_S - 580}&to={NOW_S - 570}")

    assert [d["ticket"] for d in page["deals"]] == [2, 3]
    asked = [r for r in old.agent.heard_of(protocol.Request) if r.call == "history_deals_get"]
    assert (NOW_S - 580 + ZONE_S, NOW_S - 570 + ZONE_S) in [r.args for r in asked]


@pytest.mark.parametrize("to", ["4102444800", "9999-12-31T23:59:59Z", "6000000000"])
async def test_a_period_without_an_end_is_within_what_the_package_can_be_asked(
    rig: Rig, old: ScriptedBroker, to: str
) -> None:
    (page,) = await pages(rig, f"from={NOW_S - 580}&to={to}")
    late = await rig.get(f"/api/history?from=5000000000&to={to}")

    assert [d["ticket"] for d in page["deals"]] == [2, 3, 4, 5]
    assert late.status == (200 if to != "4102444800" else 400)
    asked = [r for r in old.agent.heard_of(protocol.Request) if r.call == "history_deals_get"]
    assert all(0 <= second < 2**31 for request in asked for second in request.args)


async def test_history_is_not_called_complete_while_it_may_still_load(
    rig: Rig, old: ScriptedBroker
) -> None:
    (fresh,) = await pages(rig, "days=1")
    rig.context.terminal.since_ms = 0
    (settled,) = await pages(rig, "days=1")
    held = position(1, identifier=77, time_msc=(NOW_S - 60 + ZONE_S) * 1000)
    old.agent.shows("positions", [held])
    await eventually(lambda: rig.context.feed.positions)
    (lacking,) = await pages(rig, "days=1")
    old.deals.append(deal(6, ago_s=60, position_id=77))
    (whole,) = await pages(rig, "days=1")

    seen = [page["complete"] for page in (fresh, settled, lacking, whole)]
    assert seen == [False, True, False, True]


async def test_more_than_a_frame_takes_is_refused_before_it_is_read(
    rig: Rig, old: ScriptedBroker
) -> None:
    old.agent.replies["history_deals_total"] = lambda r: done(r, 20_001)

    answer = await rig.get("/api/history?days=3000")

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")
    assert "history_orders_get" not in [r.call for r in old.agent.heard_of(protocol.Request)]


@pytest.mark.parametrize(
    "query",
    [
        "days=0",
        "days=x",
        "days=1&from=1",
        "to=5",
        "from=2026-11-21",
        "from=yesterday",
        "from=20&to=10",
        "from=999999999999",
        "limit=1001",
        "cursor=5",
        "days=%C2%B2",
    ],
)
async def test_a_period_that_means_nothing_is_refused(
    rig: Rig, old: ScriptedBroker, query: str
) -> None:
    assert (await rig.get(f"/api/history?{query}")).problem == "/problems/invalid-request"


async def test_without_the_brokers_zone_days_work_and_moments_do_not(
    rig: Rig, old: ScriptedBroker
) -> None:
    rig.context.feed._zone_s = None

    moments = await rig.get("/api/history?from=2026-11-20T00:00:00Z")
    (days,) = await pages(rig, "days=1")

    assert (moments.status, moments.problem) == (503, "/problems/broker-time-unknown")
    assert len(days["deals"]) == 5
    assert (days["from"], days["deals"][0]["time"]) == (None, None)


BARS = {
    "time": [NOW_S - 120, NOW_S - 60],
    "open": [1.1, 1.2], "high": [1.3, 1.3], "low": [1.0, 1.0], "close": [1.2, 1.25],
    "tick_volume": [5, 6], "spread": [1, 1], "real_volume": [0, 0],
}  # fmt: skip


async def test_bars_keep_the_symbols_digits(rig: Rig, broker: ScriptedBroker) -> None:
    broker.agent.replies["copy_rates_from_pos"] = lambda r: done(r, BARS)

    answer = await rig.get("/api/rates?symbol=EURUSD&timeframe=H4&count=3")

    assert b'"close":1.25000' in answer.body
    assert (len(answer.json["bars"]), answer.json["complete"]) == (2, False)
    asked = [r for r in broker.agent.heard_of(protocol.Request) if r.call == "copy_rates_from_pos"]
    assert asked[0].args == ("EURUSD", 4 | 0x4000, 0, 3)


async def test_bars_that_the_terminal_still_loads_are_none_and_not_complete(
    rig: Rig, broker: ScriptedBroker
) -> None:
    broker.agent.replies["copy_rates_range"] = lambda r: failed(r, -1, "no data")

    answer = await rig.get(f"/api/rates?symbol=EURUSD&from={NOW_S - 600}")

    assert (answer.json["bars"], answer.json["complete"]) == ([], False)


# A Friday, 22:00 on the broker's clock, which is two hours ahead.
FRIDAY_S = 1_795_212_000


def since(begin_s: int, bars: int = 1) -> dict[str, list[float]]:
    return {name: values[:1] * bars for name, values in BARS.items()} | {
        "time": [begin_s + 3600 * number for number in range(bars)]
    }


@pytest.mark.parametrize(
    ("from_s", "first_s", "complete"),
    [
        (FRIDAY_S - 19 * 86_400, FRIDAY_S, False),
        (FRIDAY_S - 3 * 3600, FRIDAY_S, False),
        (FRIDAY_S - 1800, FRIDAY_S, True),
        (FRIDAY_S, FRIDAY_S, True),
        (FRIDAY_S + 3 * 3600, FRIDAY_S + 50 * 3600, True),
        (FRIDAY_S + 3 * 3600, FRIDAY_S + 54 * 3600, False),
    ],
    ids=["19 days short", "3 hours short", "within a bar", "at once", "a weekend", "and Monday"],
)
async def test_bars_are_complete_only_if_they_begin_where_they_were_asked_for(
    rig: Rig, broker: ScriptedBroker, from_s: int, first_s: int, *, complete: bool
) -> None:
    broker.agent.replies["copy_rates_range"] = lambda r: done(r, since(first_s, 3))

    query = f"symbol=EURUSD&timeframe=H1&from={from_s - ZONE_S}&to={first_s + 86_400}"
    answer = await rig.get(f"/api/rates?{query}")

    assert (len(answer.json["bars"]), answer.json["complete"]) == (3, complete)


async def test_bars_that_begin_late_are_complete_once_no_more_come(
    rig: Rig, broker: ScriptedBroker
) -> None:
    query = f"symbol=EURUSD&timeframe=H1&from={FRIDAY_S - 19 * 86_400}&to={FRIDAY_S}"
    now_s = 0.0
    rig.context.bars._clock = lambda: now_s
    seen = []

    for moment_s, first_s in ((0, 0), (14, 0), (16, -7200), (30, -7200), (31.5, -7200)):
        now_s, begin_s = moment_s, FRIDAY_S + first_s
        broker.agent.replies["copy_rates_range"] = lambda r, b=begin_s: done(r, since(b))
        seen.append((await rig.get(f"/api/rates?{query}")).json["complete"])

    assert seen == [False, False, False, False, True]


def test_questions_that_were_asked_are_forgotten_in_time() -> None:
    bars = settled.Settled()

    for number in range(settled.MOST_ASKED + 10):
        bars.for_s(number, None)

    assert len(bars._seen) == settled.MOST_ASKED


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "invalid-request"),
        ("symbol=NOPE", "unknown-symbol"),
        ("symbol=EURUSD&timeframe=M7", "invalid-request"),
        ("symbol=EURUSD&count=5001", "invalid-request"),
        ("symbol=EURUSD&from=0", "invalid-request"),
        ("symbol=EURUSD&count=5&from=0", "invalid-request"),
    ],
)
async def test_bars_that_cannot_be_are_refused(
    rig: Rig, broker: ScriptedBroker, query: str, problem: str
) -> None:
    assert (await rig.get(f"/api/rates?{query}")).problem == f"/problems/{problem}"


@pytest.mark.parametrize("path", ["symbols/EURUSD", "rates?symbol=EURUSD", "ticks?symbols=GBPUSD"])
@pytest.mark.parametrize("call", ["symbol_info", "symbol_info_tick", "copy_rates_from_pos"])
async def test_a_fault_of_the_terminal_is_not_told_as_a_symbol_that_is_not_there(
    rig: Rig, broker: ScriptedBroker, path: str, call: str
) -> None:
    agent = broker.agent
    agent.symbols["GBPUSD"] = symbol_info("GBPUSD")
    agent.replies["copy_rates_from_pos"] = lambda r: done(r, BARS)
    agent.replies[call] = lambda r: failed(r, -10004, "No IPC connection")

    answer = await rig.get(f"/api/{path}")

    asked = {"ticks": "symbol_info_tick", "rates": "copy_rates_from_pos"}.get(path.split("?")[0])
    if call in ("symbol_info", asked):
        assert (answer.status, answer.problem) == (502, "/problems/terminal-refused")
        assert answer.json["code"] == -10004
    else:
        assert answer.status == 200


async def test_symbols_are_found_paged_and_read_once(rig: Rig, broker: ScriptedBroker) -> None:
    names = [symbol_info(name) for name in ("XAUUSD", "EURUSD", "EURJPY", "AUDEUR.m")]
    broker.agent.replies["symbols_get"] = lambda r: done(r, names)

    first = (await rig.get("/api/symbols?q=eur&limit=2")).json
    rest = (await rig.get(f"/api/symbols?q=eur&limit=2&cursor={first['cursor']}")).json
    await rig.get("/api/symbols?group=*USD*")

    assert [s["name"] for s in first["symbols"]] == ["AUDEUR.m", "EURJPY"]
    assert [s["name"] for s in rest["symbols"]] == ["EURUSD"]
    assert (first["total"], rest["cursor"]) == (3, None)
    asked = [r for r in broker.agent.heard_of(protocol.Request) if r.call == "symbols_get"]
    assert [r.kwargs for r in asked] == [{}], "a minute's, whatever is asked for"


async def test_symbols_are_read_again_after_as_long_as_is_set(
    rig: Rig, broker: ScriptedBroker
) -> None:
    broker.agent.replies["symbols_get"] = lambda r: done(r, [symbol_info("EURUSD")])
    rig.put("access/mt5_bridge.yaml", "symbols_cache_s: 300\n")
    await rig.reloads()
    catalogue = rig.context.catalogue
    read = []

    for after_s in (0, 299, 301):
        catalogue._clock = lambda ms=after_s * 1000: ms
        await rig.get("/api/symbols")
        asked = [r for r in broker.agent.heard_of(protocol.Request) if r.call == "symbols_get"]
        read.append(len(asked))

    assert read == [1, 1, 2]


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("*USD*", ["EURUSD", "XAUUSD"]),
        ("EUR*,!*JPY", ["EURUSD"]),
        ("*,!EUR*", ["XAUUSD", "[DAX]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
        ("[*]", ["[DAX]"]),
        ("[A-Z]*", []),
        ("EURUSD, XAUUSD", ["EURUSD", "XAUUSD"]),
        ("E*R*R*D", []),
        ("*a" * 28 + "*", ["aaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
        # As a regular expression it would be tried in 40 million ways.
        ("*a" * 14 + "*b", []),
    ],
)
async def test_a_group_is_of_masks(
    rig: Rig, broker: ScriptedBroker, group: str, names: list[str]
) -> None:
    known = ("XAUUSD", "EURUSD", "EURJPY", "[DAX]", "a" * 28)
    broker.agent.replies["symbols_get"] = lambda r: done(r, [symbol_info(name) for name in known])

    found = (await rig.get("/api/symbols", params={"group": group})).json

    assert [s["name"] for s in found["symbols"]] == names
