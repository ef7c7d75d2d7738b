# SPDX-License-Identifier: Apache-2.0
"""Accounts get another image under load: nothing fails, nothing is lost, no order comes twice.

What was traded is read from the simulated broker's own book, which outlives all pods.
`MT5_UPDATE_ACCOUNTS` says how many accounts move; at the height of it each has two pods, and ten of
them keep two cores busy that CI's other tests want as well. More than move at once (`QUICK_MOVES`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import partial
from typing import Any

import pytest
from e2e_world import Account, World
from update_load import VOLUME, Client, Load

from cluster.backends import Cluster
from demo import images
from demo.installation import RELEASE, wait_for_rollout

pytestmark = pytest.mark.e2e

ACCOUNTS = int(os.environ.get("MT5_UPDATE_ACCOUNTS", "6"))
MOVED_S = 300.0
# Orders of each account before the update, and after all have moved.
BEFORE, AFTER = 3, 3
# What a fenced or a new slot answers while the keys go from one to the other: nothing was sent.
NOT_NOW = {"503 /problems/fenced", "503 /problems/settling", "503 /problems/reconciling"}


@pytest.mark.timeout(1500)
def test_a_rolling_image_update_fails_no_request_loses_no_event_and_repeats_no_order(
    world: World, node_cluster: Cluster
) -> None:
    image = images.build(["sidecar"], arguments={"VERSION": "next"})["sidecar"]
    node_cluster.load(image.archive)
    accounts = _traders(world)
    before = {account.id: _tickets(world, account) for account in accounts}

    with Load(world, accounts) as load:
        none = dict.fromkeys(load.orders(), 0)
        world.until(lambda: _all_have(load, none, BEFORE), "orders before", timeout_s=60)
        _update(world, image.name)
        for account in accounts:
            world.until(partial(_moved, world, account.name), "a move", timeout_s=MOVED_S)
        settled = load.orders()
        world.until(lambda: _all_have(load, settled, AFTER), "orders after", timeout_s=60)
        load.trade_no_more()
        for client in load.clients:
            look = partial(_is_told_of_all, world, client, before[client.account.id])
            world.until(look, "every deal to be told", timeout_s=30)

    _print_what_was_done(load, before)
    for client in load.clients:
        _nothing_failed(client)
        _nothing_was_lost(world, client, before[client.account.id])
        _each_order_is_there_once(world, client, before[client.account.id])
        assert _image(world, client.account.name) == image.name


def _traders(world: World) -> list[Account]:
    # All at once: most of the time that each takes is waiting.
    accounts = [world.apply_account(trading=True) for _ in range(ACCOUNTS)]
    for account in accounts:
        world.wait_ready(account.name, timeout_s=240)
        world.insist(account, "first", volume="0.01")
    return accounts


def _update(world: World, image: str) -> None:
    # As `helm upgrade` does with accounts.images.sidecar, but that the broker, which is of the same
    # image, keeps its books.
    setting = f"MT5_OPERATOR_SIDECAR_IMAGE={image}"
    world.system("set", "env", f"deployment/{RELEASE}-operator", setting)
    wait_for_rollout(world.system, "operator")


def _moved(world: World, name: str) -> bool:
    status = world.account(name)["status"]
    gone = world.kubectl.get("pod", f"{name}-a-0") is None
    return status["trader"]["slot"] == "b" and "move" not in status and gone


def _image(world: World, name: str) -> str:
    pod = world.kubectl.get("pod", f"{name}-b-0") or {}
    return str(pod["spec"]["containers"][0]["image"])


def _all_have(load: Load, before: dict[str, int], more: int) -> bool:
    return all(number >= before[name] + more for name, number in load.orders().items())


def _tickets(world: World, account: Account) -> set[int]:
    return {deal["ticket"] for deal in world.book(account)["deals"]}


def _is_told_of_all(world: World, client: Client, before: set[int]) -> bool:
    return _news(world, client, before) <= client.told


def _news(world: World, client: Client, before: set[int]) -> set[int]:
    return _tickets(world, client.account) - before


def _nothing_failed(client: Client) -> None:
    assert set(client.reads) == {200}, client.failed[:3]
    assert client.failed == []
    assert set(client.refused) <= NOT_NOW
    # One move: told once, and the other slot's stream says that it is another one.
    assert client.closes == [1012]
    assert client.recovered == [False]


def _nothing_was_lost(world: World, client: Client, before: set[int]) -> None:
    news = _news(world, client, before)
    assert news <= client.told
    for deals, events in zip(client.deals, client.events, strict=True):
        assert set(deals) <= news  # nothing old is told as new, and nothing is invented
        assert max(Counter(deals).values(), default=1) == 1
        assert events == sorted(set(events))


def _each_order_is_there_once(world: World, client: Client, before: set[int]) -> None:
    deals = world.book(client.account)["deals"]
    ours = [deal for deal in deals if deal["ticket"] not in before]
    opened = [deal["order"] for deal in ours if (deal["entry"], deal["volume"]) == (0, VOLUME)]
    assert sorted(opened) == sorted(told["order"] for told in client.placed.values())
    for key, told in client.placed.items():
        assert _again(world, client.account, key) == told | {"replayed": True}
    assert len(world.book(client.account)["deals"]) == len(deals)


def _again(world: World, account: Account, key: str) -> Any:
    return json.loads(world.order(account, key, volume=f"{VOLUME}").body)


def _print_what_was_done(load: Load, before: dict[str, set[int]]) -> None:
    reads = sum((client.reads for client in load.clients), Counter[int]())
    refused = sum((client.refused for client in load.clients), Counter[str]())
    told = sum(len(client.placed) for client in load.clients)
    resent = sum(client.resent.total() for client in load.clients)
    again = sum((client.asked_again for client in load.clients), Counter[str]())
    deals = sum(len(each) for client in load.clients for each in client.deals)
    read = sum(len(client.told - before[client.account.id]) for client in load.clients) - deals
    print(  # noqa: T201 - figures for docs/updates.md
        f"\n{len(load.clients)} accounts: reads {dict(reads)}, orders {told} and {resent} sent"
        f" again, refused {dict(refused)}, deals {deals} in streams and {read} more in histories"
        f" (asked again: {dict(again)})"
    )
