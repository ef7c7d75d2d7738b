# SPDX-License-Identifier: Apache-2.0
"""Orders through router and cluster: carried out at most once, whatever dies in between."""

import json

import pytest
from e2e_world import BUY, TRADES_S, Account, World

pytestmark = pytest.mark.e2e

_FORGET = "import glob, os; [os.remove(f) for f in glob.glob('/var/lib/mt5/journal/orders.*')]"


def new_pod(world: World, account: Account) -> None:
    """Delete the account's pod and wait for the next one's answers."""
    world.kubectl.delete("pod", f"{account.name}-a-0")
    world.wait_ready(account.name)


def test_a_key_is_carried_out_once_and_told_again(shared_world: World, trader: Account) -> None:
    placed = json.loads(shared_world.order(trader, "twice", volume="0.11").body)
    again = shared_world.order(trader, "twice", volume="0.11")

    assert (placed["outcome"], placed["replayed"]) == ("Done", False)
    assert again.status == 200
    assert json.loads(again.body) == placed | {"replayed": True}
    assert shared_world.bought(trader, 0.11) == [placed["order"]]


def test_a_key_is_for_one_body_only(shared_world: World, trader: Account) -> None:
    assert shared_world.order(trader, "one-body", volume="0.12").status == 200

    other = shared_world.order(trader, "one-body", volume="0.13")

    assert other.status == 422
    assert json.loads(other.body)["type"] == "/problems/key-reused"
    assert len(shared_world.bought(trader, 0.12)) == 1
    assert shared_world.bought(trader, 0.13) == []


def test_a_key_that_may_only_read_cannot_trade(shared_world: World, trader: Account) -> None:
    key = shared_world.new_key("onlyreads", accounts=[trader.id], opens=trader)
    path = f"/accounts/{trader.id}/api/order"

    refused = shared_world.request("POST", path, key=key, body=dict(BUY), Idempotency_Key="reader")

    assert refused.status == 403
    assert json.loads(refused.body)["type"] == "/problems/forbidden"


def test_an_order_is_told_again_after_its_sidecar_died(
    shared_world: World, trader: Account
) -> None:
    placed = json.loads(shared_world.order(trader, "before-death").body)
    assert placed["outcome"] == "Done", placed

    shared_world.crash_sidecar(trader)

    again = shared_world.insist(trader, "before-death")
    assert again == placed | {"replayed": True}
    assert shared_world.bought(trader) == [placed["order"]]


def test_an_order_without_an_answer_is_found_by_its_token_in_the_next_pod(world: World) -> None:
    account = world.trader(server="Simulator-LosesReplies", storage=True)

    unknown = world.order(account, "lost")
    new_pod(world, account)

    assert unknown.status == 202
    assert json.loads(unknown.body)["outcome"] == "Unknown"
    found = world.insist(account, "lost")
    assert (found["outcome"], found["evidence"], found["replayed"]) == ("Done", "token", True)
    assert world.bought(account) == [found["order"]]


def test_a_pod_without_its_journal_asks_the_terminal_before_it_sends(world: World) -> None:
    account = world.trader(storage=True)
    placed = json.loads(world.order(account, "forgotten").body)
    assert placed["outcome"] == "Done", placed

    world.kubectl.exec(f"{account.name}-a-0", ["python3", "-c", _FORGET], container="sidecar")
    new_pod(world, account)

    found = world.insist(account, "forgotten")
    assert (found["order"], found["evidence"], found["replayed"]) == (
        placed["order"],
        "token",
        True,
    )
    assert world.bought(account) == [placed["order"]]


def test_trading_is_off_until_asked_for_and_needs_no_new_pod(world: World) -> None:
    account = world.ready_account()
    # Until a new journal has settled it answers 503 for every key: it may know one of them.
    world.until(
        lambda: world.order(account, "key-1").status == 403,
        "trading to be off",
        timeout_s=TRADES_S,
    )
    before = world.kubectl.get("pod", f"{account.name}-a-0")

    change = {"spec": {"trading": {"enabled": True}}}
    world.kubectl.patch("mt5account", account.name, change)

    assert world.insist(account, "key-1")["outcome"] == "Done"
    after = world.kubectl.get("pod", f"{account.name}-a-0")
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
