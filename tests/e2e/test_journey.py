# SPDX-License-Identifier: Apache-2.0
"""The main job: from `kubectl apply` to an answer by HTTP and WebSocket through the router."""

import json

import pytest
from e2e_world import SAMPLES, World
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.e2e


def test_the_samples_end_as_their_comments_say(world: World) -> None:
    world.secret("mt5-10001")
    world.secret("mt5-10002")
    world.secret("mt5-10003")

    world.kubectl.apply_file(SAMPLES)

    world.wait_ready("reader")
    world.wait_ready("trader")
    waiting = world.wait_reason("windows-only", "NoCapacity")
    assert "Windows" in waiting["message"]
    listing = world.kubectl("get", "mt5accounts")
    assert "NoCapacity" in listing
    assert "Linux" in listing


def test_an_account_is_answered_through_the_router(world: World) -> None:
    account = world.ready_account()

    status, headers, body = world.get(f"/accounts/{account.id}/api/account")

    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body)["account"]["login"] == account.login
    old_style = world.get(f"/api/positions?account_id={account.id}")
    assert old_style.status == 200
    assert json.loads(old_style.body)["positions"]


async def test_a_stream_begins_with_welcome_and_snapshot_and_goes_on(world: World) -> None:
    account = world.ready_account()

    async with connect(
        f"{world.ws_url}/ws/account/{account.id}", additional_headers={"X-API-Key": world.key}
    ) as socket:
        welcome, snapshot, change = [json.loads(await socket.recv()) for _ in range(3)]

    assert welcome["type"] == "welcome"
    assert snapshot["type"] == "snapshot"
    assert change["seq"] > snapshot["seq"]


async def test_a_stream_without_a_key_is_refused(world: World) -> None:
    account = world.ready_account()

    with pytest.raises(InvalidStatus) as refusal:
        await connect(f"{world.ws_url}/ws/account/{account.id}")

    assert refusal.value.response.status_code == 401


def test_applying_the_same_file_twice_writes_nothing(world: World) -> None:
    account = world.ready_account()
    before = world.settled(account.name)

    world.kubectl.apply(account.manifest)

    after = world.account(account.name)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_key_of_one_account_never_opens_another(world: World) -> None:
    mine, other = world.ready_account(), world.ready_account()
    key = world.new_key("onlymine", accounts=[mine.id], opens=mine)

    for path in ("account", "positions", "orders", "ticks", "status"):
        assert world.get(f"/accounts/{mine.id}/api/{path}", key=key).status == 200
        assert world.get(f"/accounts/{other.id}/api/{path}", key=key).status in {401, 403}


def test_an_unknown_account_is_a_404_that_says_so(world: World) -> None:
    status, headers, body = world.get("/accounts/no-such-account/api/account")

    assert status == 404
    assert headers["Content-Type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["type"] == "/problems/account-unknown"
    assert problem["account_id"] == "no-such-account"


def test_a_deleted_account_is_gone_everywhere(world: World) -> None:
    account = world.ready_account()

    world.kubectl.delete("mt5account", account.name)

    world.until(lambda: world.get(f"/accounts/{account.id}/api/account").status == 404, "its 404")
    world.kubectl.wait_until_gone("pod", f"{account.name}-a-0", timeout_s=60)
    assert world.redis("HGET", "mt5:routes", account.id) == ""
    assert world.redis("GET", f"account:{account.id}:container") == ""
