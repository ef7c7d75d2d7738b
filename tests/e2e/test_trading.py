# SPDX-License-Identifier: Apache-2.0
"""Orders through the router: sent at most once, whatever dies in between."""

import json

import pytest
from e2e_world import Account, Answer, World

pytestmark = pytest.mark.e2e

BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}


def order(world: World, account: Account, key: str, **change: object) -> Answer:
    path = f"/accounts/{account.id}/api/order"
    return world.request("POST", path, body=BUY | change, Idempotency_Key=key)


def trader(world: World) -> Account:
    """Return an account that may trade, and whose new journal has looked at the terminal."""
    account = world.ready_account(trading=True)
    first = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.01"}
    path = f"/accounts/{account.id}/api/order"
    world.until(
        lambda: world.request("POST", path, body=first, Idempotency_Key="first").status == 200,
        "a new journal to settle",
        timeout_s=90,
    )
    return account


def positions(world: World, account: Account) -> set[int]:
    body = json.loads(world.get(f"/accounts/{account.id}/api/positions").body)
    return {position["ticket"] for position in body["positions"]}


def test_an_order_is_executed_once_and_told_again_after_its_sidecar_died(world: World) -> None:
    account = trader(world)
    before = positions(world, account)
    placed = json.loads(order(world, account, "key-1").body)
    assert placed["outcome"] == "Done", placed

    assert world.kill_in_pod(f"{account.name}-a-0", "sidecar", "mt5_sidecar")
    world.until(lambda: order(world, account, "key-1").status == 200, "the same answer")

    again = json.loads(order(world, account, "key-1").body)
    assert again == placed | {"replayed": True}
    # The snapshot follows with the agent's next look.
    world.until(
        lambda: positions(world, account) - before == {placed["position"]}, "the one new position"
    )


def test_a_key_is_for_one_body_only(world: World) -> None:
    account = trader(world)
    assert order(world, account, "key-1").status == 200

    other = order(world, account, "key-1", volume="0.20")

    assert other.status == 422
    assert other.headers["Content-Type"] == "application/problem+json"


def test_trading_is_off_until_asked_for_and_needs_no_new_pod(world: World) -> None:
    account = world.ready_account()
    # Until a new journal has settled it answers 503 for every key.
    world.until(
        lambda: order(world, account, "key-1").status == 403, "trading to be off", timeout_s=90
    )
    before = world.kubectl.get("pod", f"{account.name}-a-0")

    change = {"spec": {"trading": {"enabled": True}}}
    world.kubectl.patch("mt5account", account.name, change)

    world.until(
        lambda: order(world, account, "key-1").status == 200, "a trade to be made", timeout_s=90
    )
    after = world.kubectl.get("pod", f"{account.name}-a-0")
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
