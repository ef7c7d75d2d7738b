# SPDX-License-Identifier: Apache-2.0
"""An id that was somebody's does not pass to another namespace with the next account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mt5_operator import names
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, CONFIG_MAP, Kind
from mt5_operator.errors import ApiUnavailable, NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.reconcile.accounts import claims, deletion, holds
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.feed import feed
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from operator_samples import manifest

ID = "10001"
KEPT = Key("default", names.KEPT_IDS)


class Cluster:
    """An API server with accounts and ConfigMaps, whom several leaders outlive."""

    def __init__(self) -> None:
        self.accounts: dict[Key, dict[str, Any]] = {}
        self.maps: dict[Key, dict[str, str]] = {}
        self.version = 100
        self.fails: type[Exception] | None = None

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        found: dict[Key, Any] = self.accounts if kind is ACCOUNT else self.maps
        if key not in found:
            raise NotFound(404, "NotFound", key.name)
        return dict(found[key]) if kind is ACCOUNT else {"data": dict(found[key])}

    async def apply(self, kind: Kind, body: dict[str, Any], **_: str) -> dict[str, Any]:
        meta = body["metadata"]
        there = self.accounts[Key(meta["namespace"], meta["name"])]
        there["metadata"]["finalizers"] = meta.get("finalizers", [])
        return there

    async def merge(self, kind: Kind, key: Key, patch: dict[str, Any], **_: str) -> dict[str, Any]:
        if kind is ACCOUNT:
            self.accounts[key]["metadata"] |= patch["metadata"]
            return self.accounts[key]
        if self.fails is Refused:
            raise Refused(422, "Invalid", "too long")
        if self.fails:
            raise self.fails("away")
        assert kind is CONFIG_MAP
        if key not in self.maps:
            raise NotFound(404, "NotFound", key.name)
        merged = {**self.maps[key], **patch["data"]}
        self.maps[key] = {name: text for name, text in merged.items() if text is not None}
        return {}

    async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        meta = body["metadata"]
        self.maps[Key(meta["namespace"], meta["name"])] = body["data"]
        return body


class Routes:
    """A route table of which only the end of routes matters."""

    async def remove(self, account_id: str) -> None:
        return


class Leader:
    """A replica that leads from now on."""

    def __init__(self, cluster: Cluster, *, now: datetime, **settings: Any) -> None:
        self.cluster, self.now = cluster, now
        api: Any = cluster
        self.world = World(
            Settings(**settings), api, Caches(), Index(), Schedule(), now=lambda: self.now
        )
        context: Any = type("Leading", (), {"world": self.world, "table": Routes()})
        self.context: Context = context
        for each in cluster.accounts.values():
            feed(self.world, ACCOUNT, "ADDED", each)

    def add(self, namespace: str, name: str = "demo", **spec: Any) -> Key:
        """Let an account be created."""
        self.cluster.version += 1
        version = str(self.cluster.version)
        found = manifest(name, **spec)
        found["metadata"] |= {"namespace": namespace, "uid": version, "resourceVersion": version}
        created = f"2026-01-01T00:00:00.{version}Z"
        found["metadata"]["creationTimestamp"] = created
        key = Key(namespace, name)
        self.cluster.accounts[key] = found
        feed(self.world, ACCOUNT, "ADDED", found)
        return key

    async def take(self, key: Key) -> str:
        """Take the id for an account, as a reconcile does."""
        return await claims.take(self.context, self.cluster.accounts[key])

    async def delete(self, key: Key) -> None:
        """Let an account be deleted."""
        await deletion.let_go(self.context, self.cluster.accounts[key])
        feed(self.world, ACCOUNT, "DELETED", self.cluster.accounts.pop(key))


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def leader() -> Leader:
    return Leader(Cluster(), now=NOON)


async def test_who_lies_in_wait_in_another_namespace_does_not_get_the_id(leader: Leader) -> None:
    mine = leader.add("mine")
    assert await leader.take(mine) == ""
    lurker = leader.add("theirs")
    assert "belongs to" in await leader.take(lurker)

    await leader.delete(mine)

    told = await leader.take(lurker)
    assert "kept for one there until 2026-01-03T12:00:00Z" in told
    assert leader.world.index.in_namespace("theirs") == set()
    mine = leader.add("mine")  # again, and younger than the other
    assert await leader.take(mine) == ""
    assert "belongs to" in await leader.take(lurker)
    assert leader.world.index.in_namespace("mine") == {ID}


async def test_who_writes_our_finalizer_into_its_own_account_gets_no_kept_id(
    leader: Leader,
) -> None:
    mine = leader.add("mine")
    await leader.take(mine)
    lurker = leader.add("theirs")
    await leader.delete(mine)
    leader.cluster.accounts[lurker]["metadata"]["finalizers"] = [names.FINALIZER]

    for each in (leader, Leader(leader.cluster, now=NOON)):
        await holds.look(each.context)
        theirs = leader.cluster.accounts[lurker]
        theirs["metadata"]["resourceVersion"] = "999"
        feed(each.world, ACCOUNT, "MODIFIED", theirs)
        assert "is kept for" in await each.take(lurker)
        assert each.world.index.in_namespace("theirs") == set()

    leader.cluster.accounts[lurker]["metadata"]["finalizers"] = [names.FINALIZER]
    await leader.delete(lurker)
    assert leader.cluster.maps[KEPT][ID].startswith("mine ")


async def test_who_is_one_too_many_has_no_id_by_a_finalizer_of_its_own(leader: Leader) -> None:
    squatter = leader.add("theirs")
    leader.cluster.accounts[squatter]["metadata"]["finalizers"] = [names.FINALIZER]
    after = Leader(leader.cluster, now=NOON)

    assert claims.leave(after.context, squatter, over_quota=True)
    assert await after.take(after.add("mine")) == ""


async def test_nor_does_who_comes_just_then(leader: Leader) -> None:
    mine = leader.add("mine")
    await leader.take(mine)
    await leader.delete(mine)

    assert "is kept for" in await leader.take(leader.add("theirs"))


async def test_the_next_leader_knows_whom_an_id_is_kept_for(leader: Leader) -> None:
    mine = leader.add("mine")
    await leader.take(mine)
    lurker = leader.add("theirs")
    await leader.delete(mine)

    after = Leader(leader.cluster, now=NOON)
    await holds.look(after.context)

    assert "is kept for" in await after.take(lurker)
    assert await after.take(after.add("mine")) == ""


async def test_another_shard_asks_before_it_gives_an_id_away(leader: Leader) -> None:
    first = Leader(leader.cluster, now=NOON, shards=2, broker_dry_run=True)
    second = Leader(leader.cluster, now=NOON, shards=2, shard=1, broker_dry_run=True)
    mine = first.add("mine")
    await first.take(mine)
    await first.delete(mine)

    assert "is kept for" in await second.take(second.add("theirs"))


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (3, 2)])
async def test_another_number_of_shards_forgets_no_kept_id(
    leader: Leader, before: int, after: int
) -> None:
    last = {"shards": before, "shard": before - 1, "broker_dry_run": True}
    old = Leader(leader.cluster, now=NOON, **last)
    mine = old.add("mine")
    await old.take(mine)
    await old.delete(mine)

    new = Leader(leader.cluster, now=NOON, shards=after, broker_dry_run=True)
    await holds.look(new.context)

    assert "is kept for" in await new.take(new.add("theirs"))


async def test_an_id_is_kept_for_its_time_and_no_longer(leader: Leader) -> None:
    mine = leader.add("mine")
    await leader.take(mine)
    lurker = leader.add("theirs")
    await leader.delete(mine)
    leader.now += timedelta(seconds=86_399)
    await holds.look(leader.context)
    assert await leader.take(lurker)

    leader.now += timedelta(seconds=2)
    await holds.look(leader.context)

    assert await leader.take(lurker) == ""


async def test_an_administrator_gives_an_id_up(leader: Leader) -> None:
    mine = leader.add("mine")
    await leader.take(mine)
    await leader.delete(mine)
    del leader.cluster.maps[KEPT][ID]

    await holds.look(leader.context)

    assert await leader.take(leader.add("theirs")) == ""


async def test_what_is_over_goes_with_the_next_write(leader: Leader) -> None:
    await leader.take(old := leader.add("mine", "old", accountId="old"))
    await leader.delete(old)
    leader.now += timedelta(days=2)

    await leader.take(new := leader.add("mine", "new", accountId="new"))
    await leader.delete(new)

    assert set(leader.cluster.maps[KEPT]) == {"new"}


async def test_nobody_drives_out_the_ids_of_others(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "MOST", 3)
    for number, namespace in enumerate(["mine", "theirs", "theirs", "theirs", "theirs"]):
        name = f"x{number}"
        await leader.take(key := leader.add(namespace, name, accountId=name))
        leader.now += timedelta(seconds=1)
        await leader.delete(key)

    assert set(leader.cluster.maps[KEPT]) == {"x0", "x3", "x4"}
    assert set(leader.world.index.kept) == {"x0", "x3", "x4"}


async def test_a_deletion_waits_for_an_answer_and_not_for_a_yes(leader: Leader) -> None:
    mine = leader.add("mine")
    await leader.take(mine)
    leader.cluster.fails = ApiUnavailable
    with pytest.raises(ApiUnavailable):
        await leader.delete(mine)
    assert leader.cluster.accounts[mine]["metadata"]["finalizers"]

    leader.cluster.fails = Refused
    await leader.delete(mine)

    assert leader.cluster.accounts == {}


async def test_who_is_one_too_many_has_no_id(leader: Leader) -> None:
    squatter = leader.add("theirs")
    mine = leader.add("mine")
    assert claims.leave(leader.context, squatter, over_quota=True)
    assert await leader.take(mine) == ""

    assert not claims.leave(leader.context, squatter, over_quota=False)
    assert "belongs to" in await leader.take(squatter)
    assert not claims.leave(leader.context, mine, over_quota=True), "who has an id keeps it"
