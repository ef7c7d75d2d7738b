# SPDX-License-Identifier: Apache-2.0
"""A crowd of readers: what it may take of the pod, and that no trade waits behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from account_records import symbol_info
from scripted_agent import ScriptedAgent, done
from sidecar_rig import OWN, Rig, api_key, eventually, heard, key_record

from cluster.waiting import patience_s
from mt5_agent import protocol

RigWith = Callable[..., Awaitable[Rig]]
OTHER = key_record("other", accounts=["10001"], scopes=["read"])
COUNT = "history_deals_total"


def asked(agent: ScriptedAgent, call: str) -> list[protocol.Request]:
    return [r for r in agent.heard_of(protocol.Request) if r.call == call]


def many(rig: Rig, count: int, path: str, **options: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(rig.get(path, **options)) for _ in range(count)]


async def test_large_reads_are_made_one_after_the_other_and_so_many_may_wait(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(key_large_reads_waiting=3, large_reads_waiting=4)
    rig.put_keys([OWN, OTHER])
    agent = await rig.connected()
    rig.look()
    agent.replies[COUNT] = lambda _: None

    mine = many(rig, 4, "/api/history")
    await eventually(lambda: any(task.done() for task in mine))
    [refused] = [task.result() for task in mine if task.done()]
    others = many(rig, 2, "/api/rates?symbol=EURUSD", key=api_key("other"))
    await eventually(lambda: any(task.done() for task in others))
    [full] = [task.result() for task in others if task.done()]
    small = await rig.get("/api/positions")

    assert (refused.status, refused.problem, refused.json["limit"]) == (
        503,
        "/problems/busy",
        "key",
    )
    assert (full.status, full.json["limit"]) == (503, "account")
    assert refused.headers["Retry-After"] == "1"
    assert small.status == 200
    assert len(asked(agent, COUNT)) == 1

    agent.replies = {c: lambda r: done(r, 0) for c in (COUNT, "history_orders_total")}
    agent.replies |= {c: lambda r: done(r, []) for c in ("history_deals_get", "history_orders_get")}
    [first] = asked(agent, COUNT)
    agent.send(done(first, 0))
    answers = [await task for task in mine]

    assert sorted(answer.status for answer in answers) == [200, 200, 200, 503]
    assert [(await task).status for task in others].count(503) == 1
    assert rig.context.turns._waiting == {}


@pytest.mark.parametrize("path", ["/api/symbols/EURUSD", "/api/ticks?symbols=GBPUSD"])
async def test_a_trade_waits_behind_few_of_a_crowd_of_readers(rig_with: RigWith, path: str) -> None:
    rig = await rig_with(agent_reads_in_flight=3)
    agent = await rig.connected()
    agent.replies["symbol_info"] = lambda _: None
    before = len(asked(agent, "symbol_info"))

    readers = many(rig, 30, path)
    await eventually(lambda: len(asked(agent, "symbol_info")) - before == 3)
    # What trades asks for.
    agent.replies["account_info"] = lambda r: done(r, agent.account)
    async with asyncio.timeout(patience_s(5)):
        await rig.context.terminal.call("account_info")

    assert len(asked(agent, "symbol_info")) - before == 3
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_a_reader_who_never_gets_a_turn_is_told_so(rig_with: RigWith) -> None:
    rig = await rig_with(agent_reads_in_flight=1, call_timeout_s=0.05)
    agent = await rig.connected()
    agent.replies["symbol_info"] = lambda _: None

    first, *others = await asyncio.gather(*many(rig, 3, "/api/symbols/EURUSD"))

    assert {first.status, *(other.status for other in others)} == {504}


async def test_clients_have_so_many_symbols_selected_and_no_more(rig_with: RigWith) -> None:
    rig = await rig_with(selected_symbols=2)
    agent = await rig.connected()
    agent.symbols |= {name: symbol_info(name) for name in ("GBPUSD", "USDJPY", "AUDUSD")}

    first = await rig.get("/api/ticks?symbols=GBPUSD")
    await heard(await rig.ws("/ws?symbols=USDJPY"), "welcome")
    refused = [
        await rig.get(path)
        for path in ("/api/ticks?symbols=AUDUSD", "/api/rates?symbol=AUDUSD", "/ws?symbols=AUDUSD")
    ]
    contract = await rig.get("/api/symbols/AUDUSD")
    again = await rig.get("/api/ticks?symbols=GBPUSD,USDJPY,EURUSD")

    assert (first.status, contract.status, again.status) == (200, 200, 200)
    for answer in refused:
        assert (answer.status, answer.problem) == (503, "/problems/too-many-symbols")
        assert (answer.json["limit"], answer.json["allowed"]) == ("selected_symbols", 2)
    assert "AUDUSD" not in {r.args[0] for r in asked(agent, "symbol_select")}


async def test_a_symbol_that_the_broker_no_longer_has_is_not_asked_for_with_each_page(
    bridge: Rig,
) -> None:
    contracts = bridge.context.feed.contracts

    for _ in range(3):
        contracts.get("GONE")
        await eventually(lambda: not contracts._asking)

    assert [r.args for r in asked(bridge.agent, "symbol_info")].count(("GONE",)) == 1


async def test_it_is_asked_for_again_after_as_long_as_is_set(rig_with: RigWith) -> None:
    rig = await rig_with(unknown_symbol_retry_s=30)
    await rig.connected()
    contracts = rig.context.feed.contracts

    for ago_s in (0, 31):
        contracts._unknown = {name: at_s - ago_s for name, at_s in contracts._unknown.items()}
        contracts.get("GONE")
        await eventually(lambda: not contracts._asking)

    assert [r.args for r in asked(rig.agent, "symbol_info")].count(("GONE",)) == 2
