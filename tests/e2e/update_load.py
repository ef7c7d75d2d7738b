# SPDX-License-Identifier: Apache-2.0
"""Clients of many accounts in one event loop: reads, orders that insist, a stream each.

Each behaves as docs/api.md tells clients to: an order is sent with its key until its end is told,
a stream is resumed, and what a stream says it could not recover is read from the history.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp
from e2e_world import BUY, Account, World

READ_PAUSE_S = 0.5
ORDER_PAUSE_S = 1.0
VOLUME = 0.02


class Ends(NamedTuple):
    """What ends, and when."""

    trading: asyncio.Event
    all: asyncio.Event


class Client:
    """One account's client, and all that it was told."""

    def __init__(self, world: World, account: Account) -> None:
        self._world = world
        self.account = account
        # A day back: what is older than the load is left out by ticket.
        self._since = datetime.now(UTC) - timedelta(days=1)
        self.reads: Counter[int] = Counter()
        self.failed: list[str] = []
        self.placed: dict[str, dict[str, Any]] = {}
        self.resent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.closes: list[int | None] = []
        self.recovered: list[bool] = []
        # A list for each connection: tickets of the deals, and numbers of the events.
        self.deals: list[list[int]] = []
        self.events: list[list[int]] = []
        self.caught_up: set[int] = set()
        self.asked_again: Counter[str] = Counter()

    def work(self, session: aiohttp.ClientSession, ends: Ends) -> list[Coroutine[Any, Any, None]]:
        """Return what this client does at the same time."""
        return [
            self._trade(session, ends.trading),
            self._read(session, ends.all),
            self._listen(session, ends.all),
        ]

    @property
    def told(self) -> set[int]:
        """Return the tickets of all deals that this client knows of."""
        return {ticket for deals in self.deals for ticket in deals} | self.caught_up

    async def _read(self, session: aiohttp.ClientSession, over: asyncio.Event) -> None:
        while not over.is_set():
            async with self._noted("a read"), session.get(self._path("positions")) as answer:
                body = await answer.text()
                self.reads[answer.status] += 1
                if answer.status != 200:
                    self.failed.append(body)
            await asyncio.sleep(READ_PAUSE_S)

    @asynccontextmanager
    async def _noted(self, what: str) -> AsyncIterator[None]:
        # A request that gets no answer at all, or no JSON, has failed, and the client goes on.
        began = time.monotonic()
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as fault:
            took_s = time.monotonic() - began
            self.failed.append(f"{what} at {datetime.now(UTC):%T}, after {took_s:.1f} s: {fault!r}")
            await asyncio.sleep(READ_PAUSE_S)

    async def _trade(self, session: aiohttp.ClientSession, over: asyncio.Event) -> None:
        while not over.is_set():
            key = f"load-{len(self.placed)}"
            told = await self._order(session, key)
            if told is not None:
                self.placed[key] = told
                await self._again(session, key)
            await asyncio.sleep(ORDER_PAUSE_S)

    async def _again(self, session: aiohttp.ClientSession, newest: str) -> None:
        # Those of before and of this moment: a flip may come between a key's two sends.
        for key in {newest, f"load-{len(self.placed) // 2}"} & set(self.placed):
            told = await self._order(session, key)
            if told is None:
                continue
            self.resent[key] += 1
            if told != self.placed[key] | {"replayed": True}:
                self.failed.append(f"{key}: {self.placed[key]} became {told}")

    async def _order(self, session: aiohttp.ClientSession, key: str) -> dict[str, Any] | None:
        body = {**BUY, "volume": f"{VOLUME}"}
        headers = {"Idempotency-Key": key}
        posted = session.post(self._path("order"), json=body, headers=headers)
        async with self._noted(f"order {key}"), posted as answer:
            told = json.loads(await answer.text())
            if answer.status == 200:
                return dict(told)
            self.refused[f"{answer.status} {told.get('type', told.get('outcome'))}"] += 1
        return None

    async def _listen(self, session: aiohttp.ClientSession, over: asyncio.Event) -> None:
        at: dict[str, Any] = {}
        while not over.is_set():
            url = f"{self._world.ws_url}/ws/account/{self.account.id}"
            self.deals.append([])
            self.events.append([])
            stream = session.ws_connect(url, params=at)
            async with self._noted("a stream"), stream as socket:
                while not over.is_set():
                    try:
                        message = await socket.receive(timeout=1)
                    except TimeoutError:
                        continue
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    at = await self._hear(session, at, json.loads(message.data))
                self.closes += [] if over.is_set() else [socket.close_code]

    async def _hear(
        self, session: aiohttp.ClientSession, at: dict[str, Any], message: dict[str, Any]
    ) -> dict[str, Any]:
        if message["type"] == "welcome":
            welcome = message["data"]
            if at:
                self.recovered.append(welcome["recovered"])
            if at and not welcome["recovered"]:
                await self._catch_up(session)
            return {"epoch": welcome["epoch"], "seq": welcome["seq"]}
        if "event" in message:
            self.events[-1].append(message["event"])
        if message["type"] == "deal":
            self.deals[-1].append(message["data"]["ticket"])
        return at | ({"seq": message["seq"]} if "seq" in message else {})

    async def _catch_up(self, session: aiohttp.ClientSession) -> None:
        words: dict[str, Any] = {"from": self._since.isoformat(), "limit": 500}
        while True:
            async with session.get(self._path("history"), params=words) as answer:
                page = json.loads(await answer.text())
            if answer.status != 200:  # nothing is lost by asking again
                self.asked_again[f"{answer.status} {page.get('type')}"] += 1
                await asyncio.sleep(READ_PAUSE_S)
                continue
            self.caught_up |= {deal["ticket"] for deal in page["deals"]}
            if not page.get("cursor"):
                return
            words["cursor"] = page["cursor"]

    def _path(self, what: str) -> str:
        return f"{self._world.installation.url}/accounts/{self.account.id}/api/{what}"


class Load:
    """All clients, in a thread of their own while this block lasts."""

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        self.clients = [Client(world, account) for account in accounts]
        self._key = world.key
        self._loop = asyncio.new_event_loop()
        self._ends = Ends(asyncio.Event(), asyncio.Event())
        self._thread = threading.Thread(target=self._run)
        self._faults: list[BaseException] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.trade_no_more()
            self._loop.call_soon_threadsafe(self._ends.all.set)
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert not self._faults, self._told_faults()

    def orders(self) -> dict[str, int]:
        """Return how many orders each account has had an answer to.

        Raises:
            AssertionError: The clients have ended, and there will be no more.
        """
        assert not self._faults, self._told_faults()
        return {client.account.id: len(client.placed) for client in self.clients}

    def _told_faults(self) -> str:
        # Of a group the message alone says not whose request it was.
        return "".join(line for fault in self._faults for line in traceback.format_exception(fault))

    def trade_no_more(self) -> None:
        """Send no further orders; reads and streams go on."""
        self._loop.call_soon_threadsafe(self._ends.trading.set)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._work())
        except BaseException as fault:  # noqa: BLE001 - told by the thread that waits
            self._faults.append(fault)
        finally:
            self._loop.close()

    async def _work(self) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        headers = {"X-API-Key": self._key}
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            asyncio.TaskGroup() as group,
        ):
            for client in self.clients:
                for work in client.work(session, self._ends):
                    group.create_task(work)
