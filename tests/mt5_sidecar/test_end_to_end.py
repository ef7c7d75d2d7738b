# SPDX-License-Identifier: Apache-2.0
"""The sidecar, `python -m mt5_agent` and the simulator: all is real between client and broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from real_agent import trading
from sidecar_rig import Rig, api_key, eventually, heard

from cluster.waiting import patience_s

BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}


@pytest.fixture
async def live(rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path) -> AsyncIterator[Rig]:
    """A sidecar whose account is open at the simulated broker and may trade."""
    rig = await rig_with(stale_after_s=12)
    async with trading(rig, tmp_path / "terminal"):
        await eventually(lambda: rig.context.board.version("tick_data"), timeout_s=30)
        yield rig


async def position_of(socket: Any, ticket: int) -> dict[str, Any]:
    """Return the position as the stream tells of it first."""
    async with asyncio.timeout(patience_s(20)):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "positions":
                for position in message["data"]["changed"]:
                    if position["ticket"] == ticket:
                        return position


async def removal_of(socket: Any, ticket: int) -> None:
    """Return once the stream tells that the position is gone."""
    async with asyncio.timeout(patience_s(20)):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "positions" and ticket in message["data"]["removed"]:
                return


async def test_an_order_lives_from_its_key_to_the_close_of_its_position(live: Rig) -> None:
    socket = await live.ws()
    await heard(socket, "snapshot")

    placed = await live.trade("POST", "/api/order", "open-1", json=BUY)
    again = await live.trade("POST", "/api/order", "open-1", json=BUY)

    assert (placed.status, placed.json["outcome"]) == (200, "Done"), placed.body
    assert again.json == placed.json | {"replayed": True}
    ticket = placed.json["position"]
    assert (await heard(socket, "order_outcome"))["data"]["key"] == "open-1"
    seen = await position_of(socket, ticket)
    assert (seen["symbol"], seen["side"], seen["volume"]) == ("EURUSD", "buy", 0.1)
    held = (await live.get("/api/positions")).json["positions"]
    assert [p["volume"] for p in held if p["magic"] == seen["magic"]] == [0.1]

    closed = await live.trade("DELETE", f"/api/positions/{ticket}", "close-1")
    assert (closed.status, closed.json["outcome"]) == (200, "Done"), closed.body
    await removal_of(socket, ticket)


async def test_a_signal_is_executed_and_its_deal_is_told(live: Rig) -> None:
    await eventually(lambda: live.context.feed.deals._known is not None, timeout_s=20)
    socket = await live.ws(key=api_key("trader"))
    await heard(socket, "snapshot")

    signal = {"type": "trading_signal", "id": 1, "data": BUY | {"client_order_id": "signal-1"}}
    await socket.send(json.dumps(signal))

    told, deals = None, []
    async with asyncio.timeout(patience_s(20)):
        while told is None or told["deal"] not in deals:
            message = json.loads(await socket.recv())
            if message["type"] == "trading_signal_executed":
                told = message["data"]
            elif message["type"] == "deal":
                deals.append(message["data"]["ticket"])
    assert told["ok"]


async def test_the_past_and_the_market_are_read_from_the_terminal(live: Rig) -> None:
    placed = await live.trade("POST", "/api/order", "open-2", json=BUY)

    past = (await live.get("/api/history?days=1&limit=1000")).json
    rates = (await live.get("/api/rates?symbol=EURUSD&timeframe=M5&count=10")).json
    found = (await live.get("/api/symbols?q=eur")).json

    assert placed.json["deal"] in [deal["ticket"] for deal in past["deals"]]
    assert placed.json["order"] in [order["ticket"] for order in past["orders"]]
    assert (len(rates["bars"]), rates["complete"]) == (10, True)
    assert all(bar["low"] <= bar["close"] <= bar["high"] for bar in rates["bars"])
    assert "EURUSD" in [symbol["name"] for symbol in found["symbols"]]


async def test_a_requoted_order_is_filled_at_the_third_key(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> None:
    rig = await rig_with(server="Simulator-Requotes")
    async with trading(rig, tmp_path / "terminal"):
        tries = [await rig.trade("POST", "/api/order", f"try-{n}", json=BUY) for n in (1, 2, 3)]

    told = [(answer.json["outcome"], answer.json["retry"]) for answer in tries]
    assert told == [("Refused", True), ("Refused", True), ("Done", False)]


async def test_an_order_that_hangs_is_unknown_the_account_serves_again_and_it_is_found(
    rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path
) -> None:
    rig = await rig_with(
        server="Simulator-Hangs", stale_after_s=12, call_timeout_s=2, order_settle_s=1
    )
    async with trading(rig, tmp_path / "terminal") as agent:
        before = agent.processes()

        sent = await rig.trade("POST", "/api/order", "hangs-1", json=BUY | {"symbol": "HANGSORDER"})
        assert (sent.status, sent.json["outcome"]) == (202, "Unknown"), sent.body

        served = asyncio.get_running_loop().time()
        while (await rig.trade("GET", "/api/order/hangs-1")).json["outcome"] != "Done":
            assert asyncio.get_running_loop().time() - served < 30
            await asyncio.sleep(0.05)
        held = (await rig.get("/api/positions")).json["positions"]
        assert [p["symbol"] for p in held].count("HANGSORDER") == 1
        # One worker took the other's place, and none was left behind.
        after = agent.processes()
        assert len(after) == len(before) == 3
        assert len(after - before) == 1
