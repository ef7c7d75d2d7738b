# SPDX-License-Identifier: Apache-2.0
"""A netting account from client to simulated broker: one position of a symbol, whatever is sent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from real_agent import trading
from sidecar_rig import Answer, Rig, eventually

SYMBOL = "EURUSD"


@pytest.fixture
async def net(rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path) -> AsyncIterator[Rig]:
    """A sidecar on a netting account that may trade, with no position of SYMBOL."""
    rig = await rig_with(server="Simulator-Netting", stale_after_s=12)
    async with trading(rig, tmp_path / "terminal"):
        await eventually(lambda: rig.context.board.version("positions"), timeout_s=30)
        await eventually(lambda: rig.context.board.version("tick_data"), timeout_s=30)
        for position in await held(rig):
            await close(rig, position, f"before-{position['ticket']}")
        await until_held(rig, "0")
        yield rig


async def held(rig: Rig) -> list[dict[str, Any]]:
    return [p for p in (await rig.get("/api/positions")).json["positions"] if p["symbol"] == SYMBOL]


async def until_held(rig: Rig, signed: str) -> dict[str, Any]:
    """Return the position once the snapshot has it in that size: below 0 is sold, 0 is none."""

    def now() -> Decimal:
        positions = rig.context.feed.positions
        return sum(
            (
                Decimal(str(p.volume)) * (-1 if p.type else 1)
                for p in positions
                if p.symbol == SYMBOL
            ),
            Decimal(0),
        )

    await eventually(lambda: now() == Decimal(signed), timeout_s=20)
    found = await held(rig)
    assert len(found) == (0 if signed == "0" else 1)
    return found[0] if found else {}


async def send(rig: Rig, key: str, side: str, volume: str) -> Answer:
    body = {"symbol": SYMBOL, "side": side, "type": "market", "volume": volume}
    answer = await rig.trade("POST", "/api/order", key, json=body)
    assert (answer.status, answer.json["outcome"]) == (200, "Done"), answer.body
    return answer


async def close(rig: Rig, position: dict[str, Any], key: str, **body: str) -> Answer:
    path = f"/api/positions/{position['ticket']}"
    answer = await rig.trade("DELETE", path, key, json=body)
    assert (answer.status, answer.json["outcome"]) == (200, "Done"), answer.body
    return answer


async def test_orders_grow_reduce_and_turn_the_one_position(net: Rig) -> None:
    await send(net, "n1", "buy", "0.10")
    first = await until_held(net, "0.10")
    await send(net, "n2", "buy", "0.05")
    grown = await until_held(net, "0.15")
    await send(net, "n3", "sell", "0.05")
    reduced = await until_held(net, "0.10")
    await send(net, "n4", "sell", "0.30")
    turned = await until_held(net, "-0.20")

    assert first["ticket"] == grown["ticket"] == reduced["ticket"]
    assert (first["side"], turned["side"]) == ("buy", "sell")


async def test_a_retry_of_what_netted_to_nothing_is_answered_and_not_sent_again(net: Rig) -> None:
    opened = await send(net, "n1", "buy", "0.10")
    await until_held(net, "0.10")
    await send(net, "n2", "sell", "0.10")
    await until_held(net, "0")

    again = await send(net, "n1", "buy", "0.10")

    assert again.json == opened.json | {"replayed": True}
    await until_held(net, "0")
    assert (await net.trade("GET", "/api/order/n2")).json["outcome"] == "Done"


async def test_a_position_is_protected_closed_in_part_and_closed(net: Rig) -> None:
    await send(net, "n1", "buy", "0.10")
    position = await until_held(net, "0.10")
    path = f"/api/positions/{position['ticket']}"
    limit = f"{position['price_open'] * 0.98:.5f}"

    protected = await net.trade("PATCH", path, "p1", json={"sl": limit})
    assert (protected.status, protected.json["outcome"]) == (200, "Done"), protected.body
    await close(net, position, "c1", volume="0.04")
    left = await until_held(net, "0.06")
    await close(net, left, "c2")

    await until_held(net, "0")
    assert left["sl"] == float(limit)


async def test_close_by_is_refused_with_the_reason_and_nothing_is_sent(net: Rig) -> None:
    await send(net, "n1", "buy", "0.10")
    position = await until_held(net, "0.10")
    path = f"/api/positions/{position['ticket']}/close-by"

    refused = await net.trade("POST", path, "cb", json={"position_by": position["ticket"]})

    assert (refused.status, refused.problem) == (422, "/problems/bad-trade")
    assert refused.json["limit"] == "margin_mode"
    assert (await net.trade("GET", "/api/order/cb")).problem == "/problems/key-unknown"
    await until_held(net, "0.10")


async def test_a_pending_order_is_placed_changed_and_cancelled(net: Rig) -> None:
    bid = (await net.get(f"/api/symbols/{SYMBOL}")).json["symbol"]["bid"]
    body = {"symbol": SYMBOL, "side": "buy", "type": "limit", "volume": "0.10"}
    placed = await net.trade("POST", "/api/order", "l1", json=body | {"price": f"{bid * 0.97:.5f}"})
    path = f"/api/orders/{placed.json['order']}"
    changed = await net.trade("PATCH", path, "l2", json={"price": f"{bid * 0.96:.5f}"})
    gone = await net.trade("DELETE", path, "l3")

    assert placed.json["outcome"] == "Placed", placed.body
    assert changed.json["outcome"] == "Done", changed.body
    assert gone.json["outcome"] == "Done", gone.body
    await until_held(net, "0")
