# SPDX-License-Identifier: Apache-2.0
"""Who has an account id keeps it: ages are in whole seconds, and uids are random."""

from __future__ import annotations

import asyncio
from itertools import permutations
from typing import Any

import pytest

from mt5_operator import names
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, Kind
from mt5_operator.errors import ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.accounts import claims
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.context.index import Claim, Index
from mt5_operator.reconcile.feed import feed
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from operator_samples import manifest

FIRST, SECOND = Key("ns", "z-first"), Key("ns", "a-second")


class Accounts:
    """An API server with accounts; `held` lists those that carry our finalizer."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.version = 100
        self.away = False
        self.looks = 0

    def add(self, key: Key) -> dict[str, Any]:
        """Create an account; all are of the same second and want the same id."""
        self.objects[key] = manifest(key.name)
        return self._changed(key)

    @property
    def held(self) -> list[str]:
        objects = self.objects.values()
        return [o["metadata"]["name"] for o in objects if o["metadata"].get("finalizers")]

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.looks += 1
        if key not in self.objects:
            raise NotFound(404, "NotFound", key.name)
        return self.objects[key]

    async def apply(self, kind: Kind, body: dict[str, Any], **_: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.away:
            raise ApiUnavailable("away")
        meta = body["metadata"]
        key = Key(meta["namespace"], meta["name"])
        there = self.objects[key]["metadata"]
        self.objects[key] = {**self.objects[key], "metadata": {**there, "finalizers": []}}
        self.objects[key]["metadata"]["finalizers"] = meta.get("finalizers", [])
        await asyncio.sleep(0)  # it is done there, and we do not know it yet
        return self._changed(key)

    async def merge(self, kind: Kind, key: Key, patch: dict[str, Any], **_: str) -> dict[str, Any]:
        self.objects[key] = dict(self.objects[key])
        self.objects[key]["metadata"] = self.objects[key]["metadata"] | patch["metadata"]
        return self._changed(key)

    def _changed(self, key: Key) -> dict[str, Any]:
        self.version += 1
        self.objects[key]["metadata"]["resourceVersion"] = str(self.version)
        return self.objects[key]


class Leader:
    """One replica's view: it knows what its watch has told it so far."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        api: Any = accounts
        self.world = World(Settings(), api, Caches(), Index(), Schedule())
        context: Any = type("Leading", (), {"world": self.world})
        self.context: Context = context

    def hear(self, *keys: Key) -> None:
        """Let its watch tell of accounts as they are now."""
        for key in keys:
            feed(self.world, ACCOUNT, "MODIFIED", self.accounts.objects[key])

    async def take(self, key: Key) -> str:
        """Take the id for an account, as a reconcile does."""
        found = self.world.caches[ACCOUNT].get(key)
        assert found is not None
        return await claims.take(self.context, found)


@pytest.fixture
def accounts() -> Accounts:
    found = Accounts()
    found.add(FIRST)
    return found


def test_of_one_second_and_both_unmarked_the_uid_decides_alike_everywhere() -> None:
    objects = [manifest(name) for name in ("c", "a", "b")]

    winners = set()
    for order in permutations(objects):
        index = Index()
        for item in order:
            index.keep(item)
        winners.add(index.holder("10001"))

    created = "2026-11-21T10:00:00Z"
    assert winners == {Claim(True, created, True, "uid-a", Key("ns", "a"))}  # noqa: FBT003


async def test_a_younger_account_of_the_same_second_does_not_take_an_id_that_is_held(
    accounts: Accounts,
) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)
    assert await leader.take(FIRST) == ""

    accounts.add(SECOND)  # its uid sorts before the other's
    leader.hear(FIRST, SECOND)

    assert "belongs to MT5Account z-first, which had it first" in await leader.take(SECOND)
    assert await leader.take(FIRST) == ""
    assert accounts.held == ["z-first"]


async def test_an_id_is_taken_from_the_moment_of_the_decision_not_of_the_answer(
    accounts: Accounts,
) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)
    first = asyncio.ensure_future(leader.take(FIRST))
    await asyncio.sleep(0)  # its finalizer is on the way

    accounts.add(SECOND)
    leader.hear(SECOND)

    assert await leader.take(SECOND)
    assert await first == ""
    assert accounts.held == ["z-first"]


async def test_two_that_ask_at_once_are_not_both_marked(accounts: Accounts) -> None:
    accounts.add(SECOND)
    leader = Leader(accounts)
    leader.hear(FIRST, SECOND)

    told = await asyncio.gather(leader.take(FIRST), leader.take(SECOND))

    assert [bool(one) for one in told] == [True, False]  # unmarked both: the uid decides
    assert accounts.held == ["a-second"]


async def test_a_new_leader_with_an_old_view_asks_before_it_takes_an_id(
    accounts: Accounts,
) -> None:
    accounts.add(SECOND)
    before, after = Leader(accounts), Leader(accounts)
    after.hear(FIRST, SECOND)  # and nothing since
    before.hear(FIRST)
    assert await before.take(FIRST) == ""

    told = await after.take(SECOND)

    assert "belongs to MT5Account z-first" in told
    assert accounts.held == ["z-first"]
    assert await after.take(FIRST) == ""


async def test_a_leader_that_starts_again_finds_the_holder_by_its_mark(accounts: Accounts) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)
    await leader.take(FIRST)
    accounts.add(SECOND)

    restarted = Leader(accounts)
    restarted.hear(SECOND, FIRST)

    assert await restarted.take(SECOND)
    assert await restarted.take(FIRST) == ""


async def test_who_holds_an_id_keeps_it_when_its_mark_is_taken_off_by_hand(
    accounts: Accounts,
) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)
    await leader.take(FIRST)
    accounts.add(SECOND)
    del accounts.objects[FIRST]["metadata"]["finalizers"]  # as `kubectl replace` does
    accounts._changed(FIRST)
    leader.hear(FIRST, SECOND)

    assert await leader.take(SECOND)
    assert await leader.take(FIRST) == ""
    assert accounts.held == ["z-first"]


async def test_of_two_marked_accounts_the_loser_loses_its_mark(accounts: Accounts) -> None:
    accounts.add(SECOND)
    for key in (FIRST, SECOND):
        accounts.objects[key]["metadata"]["finalizers"] = [names.FINALIZER]
    leader = Leader(accounts)
    leader.hear(FIRST, SECOND)

    assert await leader.take(FIRST)
    assert await leader.take(SECOND) == ""
    assert accounts.held == ["a-second"]


async def test_a_finalizer_that_anybody_may_write_makes_nobody_the_holder(
    accounts: Accounts,
) -> None:
    accounts.add(SECOND)["metadata"]["creationTimestamp"] = "2026-11-21T10:00:01Z"
    accounts.objects[SECOND]["metadata"]["finalizers"] = ["theirs/own", names.FINALIZER]
    leader = Leader(accounts)
    leader.hear(FIRST, SECOND)

    assert "belongs to" in await leader.take(SECOND)
    assert accounts.objects[SECOND]["metadata"]["finalizers"] == ["theirs/own"]
    assert await leader.take(FIRST) == ""


@pytest.mark.parametrize("status", [{"idHeld": True}, {"trader": {"slot": "a"}}])
async def test_who_has_an_id_by_its_status_keeps_it_from_an_older_one(
    accounts: Accounts, status: dict[str, Any]
) -> None:
    accounts.add(SECOND)["metadata"]["creationTimestamp"] = "2026-11-21T10:00:01Z"
    accounts.objects[SECOND] |= {"status": status}
    accounts.objects[SECOND]["metadata"]["finalizers"] = [names.FINALIZER]
    leader = Leader(accounts)
    leader.hear(FIRST, SECOND)

    assert await leader.take(FIRST)
    assert await leader.take(SECOND) == ""


async def test_the_one_that_waits_takes_the_id_when_its_holder_is_gone(accounts: Accounts) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)
    await leader.take(FIRST)
    accounts.add(SECOND)
    leader.hear(SECOND)
    assert await leader.take(SECOND)

    gone = accounts.objects.pop(FIRST)
    feed(leader.world, ACCOUNT, "DELETED", gone)

    assert await leader.take(SECOND) == ""
    # A new account of the old one's name begins at the end of the queue.
    accounts.add(FIRST)["metadata"]["uid"] = "0-before-all-others"
    leader.hear(FIRST)
    assert await leader.take(FIRST)


async def test_an_id_that_could_not_be_marked_stays_with_who_took_it(accounts: Accounts) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)
    accounts.away = True
    with pytest.raises(ApiUnavailable):
        await leader.take(FIRST)

    accounts.away = False
    accounts.add(SECOND)
    leader.hear(SECOND)

    assert await leader.take(SECOND)
    assert await leader.take(FIRST) == ""


async def test_without_a_rival_nobody_is_asked(accounts: Accounts) -> None:
    leader = Leader(accounts)
    leader.hear(FIRST)

    await leader.take(FIRST)

    assert accounts.looks == 0


def test_what_is_asked_of_one_namespace_costs_the_same_however_many_there_are() -> None:
    index = Index()
    for number in range(300):
        item = manifest(f"x{number}", accountId=f"id-{number}")
        item["metadata"]["namespace"] = f"ns-{number % 100}"
        index.keep(item)
    asked: list[str] = []
    holder = index.holder

    def counted(wanted: str) -> Claim | None:
        asked.append(wanted)
        return holder(wanted)

    index.holder = counted  # type: ignore[method-assign]

    assert index.in_namespace("ns-7") == {"id-7", "id-107", "id-207"}
    assert len(asked) == 3
    for number in (7, 107, 207):
        index.drop(Key("ns-7", f"x{number}"))
    assert "ns-7" not in index.namespaces()
    assert len(index.namespaces()) == 99
