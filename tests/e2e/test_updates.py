# SPDX-License-Identifier: Apache-2.0
"""A new template under load: no failed read, sockets told to come again, each order sent once.

`MT5_UPDATE_ACCOUNTS` says how many accounts move.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter
from functools import partial
from typing import Any

import pytest
from e2e_world import Account, Answer, World
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.e2e

ACCOUNTS = int(os.environ.get("MT5_UPDATE_ACCOUNTS", "3"))
MOVED_S = 240.0
PAUSE_S = 0.1


class Load:
    """Clients of all accounts: reads, orders that insist, and a socket each."""

    def __init__(self, world: World, accounts: list[Account]) -> None:
        self.world, self.accounts = world, accounts
        self.reads: Counter[int] = Counter()
        self.failed: list[str] = []
        self.placed: dict[tuple[str, str], dict[str, Any]] = {}
        self.refused: Counter[str] = Counter()
        self.closes: list[tuple[str, int]] = []
        self.welcomes: Counter[str] = Counter()
        self._over = threading.Event()
        works = [self._reads, self._orders, self._socket]
        self._threads = [
            threading.Thread(target=work, args=[account]) for account in accounts for work in works
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _reads(self, account: Account) -> None:
        while not self._over.is_set():
            answer = self.world.get(f"/accounts/{account.id}/api/positions")
            self.reads[answer.status] += 1
            if answer.status != 200:
                self.failed.append(answer.body)
            time.sleep(PAUSE_S)

    def _orders(self, account: Account) -> None:
        number = 0
        while not self._over.is_set():
            key = f"load-{number}"
            answer = self.world.order(account, key, volume="0.02")
            if answer.status == 200:
                self.placed[account.id, key] = json.loads(answer.body)
                number += 1
            else:
                self.refused[_problem(answer)] += 1
            time.sleep(PAUSE_S)

    def _socket(self, account: Account) -> None:
        asyncio.run(self._listen(account))

    async def _listen(self, account: Account) -> None:
        url = f"{self.world.ws_url}/ws/account/{account.id}"
        while not self._over.is_set():
            async with connect(url, additional_headers={"X-API-Key": self.world.key}) as socket:
                try:
                    await self._until_over(account, socket)
                except ConnectionClosed as closed:
                    self.closes.append((account.id, closed.rcvd.code if closed.rcvd else 0))

    async def _until_over(self, account: Account, socket: Any) -> None:
        while not self._over.is_set():
            try:
                message = json.loads(await asyncio.wait_for(socket.recv(), 1))
            except TimeoutError:
                continue
            if message["type"] == "welcome":
                self.welcomes[account.id] += 1


def _problem(answer: Answer) -> str:
    try:
        return f"{answer.status} {json.loads(answer.body)['type']}"
    except (ValueError, KeyError):
        return f"{answer.status} {answer.body[:80]}"


@pytest.mark.timeout(900)
def test_accounts_move_under_load_without_a_failed_read_and_no_order_is_sent_twice(
    world: World,
) -> None:
    accounts = [world.trader() for _ in range(ACCOUNTS)]
    change = {"spec": {"resources": {"requests": {"cpu": "21m"}}}}

    with Load(world, accounts) as load:
        for account in accounts:
            world.kubectl.patch("mt5account", account.name, change)
        for account in accounts:
            world.until(partial(_moved, world, account.name), "a move", timeout_s=MOVED_S)
        settled = len(load.placed)
        world.until(lambda: len(load.placed) > settled + ACCOUNTS, "orders after", timeout_s=120)

    print(f"\nreads {dict(load.reads)}, orders {len(load.placed)}, refused {dict(load.refused)}")  # noqa: T201
    assert set(load.reads) == {200}, load.failed[:3]
    assert set(load.refused) <= {
        "503 /problems/fenced",
        "503 /problems/settling",
        "503 /problems/reconciling",
    }
    assert sorted(load.closes) == sorted((account.id, 1012) for account in accounts)
    assert set(load.welcomes.values()) == {2}
    for (account_id, key), told in load.placed.items():
        account = next(each for each in accounts if each.id == account_id)
        again = json.loads(world.order(account, key, volume="0.02").body)
        assert again == told | {"replayed": True}


def _moved(world: World, name: str) -> bool:
    status = world.account(name)["status"]
    gone = world.kubectl.get("pod", f"{name}-a-0") is None
    return status["trader"]["slot"] == "b" and "move" not in status and gone
