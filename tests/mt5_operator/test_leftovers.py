# SPDX-License-Identifier: Apache-2.0
"""What is removed because its owner is gone for certain, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, POD, STATEFUL_SET, Kind
from mt5_operator.errors import ApiUnavailable, Conflict, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.owned import Owner, place
from mt5_operator.reconcile.pods import leftovers
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings

OWNER = Owner(Key("ns", "demo"), "new")


class Cluster:
    """What the API server has, whatever our caches hold."""

    def __init__(self) -> None:
        self.there: dict[tuple[Kind, str], dict[str, Any]] = {}
        self.away = False

    def put(self, kind: Kind, name: str, uid: str, owner: dict[str, Any] | None) -> dict[str, Any]:
        meta: dict[str, Any] = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": "1"}
        if owner:
            meta["ownerReferences"] = [owner | {"controller": True}]
        self.there[kind, name] = {"metadata": meta}
        return {"metadata": dict(meta)}

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        if self.away:
            raise ApiUnavailable("away")
        if (kind, key.name) not in self.there:
            raise NotFound(404, "NotFound", key.name)
        return self.there[kind, key.name]

    async def delete(self, kind: Kind, key: Key, *, uid: str, version: str = "") -> None:
        meta = (await self.get(kind, key))["metadata"]
        if meta["uid"] != uid or meta["resourceVersion"] != version:
            raise Conflict(409, "Conflict", key.name)
        del self.there[kind, key.name]


class Bench:
    """The account `demo` that is there has the uid `new`."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        api: Any = self.cluster
        self.world = World(Settings(), api, Caches(), Index(), Schedule())
        self.cluster.put(ACCOUNT, "demo", "new", None)

    def seen(self, kind: Kind, name: str, uid: str, owner: dict[str, Any] | None) -> None:
        """Let there be an object, and our cache hold it."""
        self.world.caches[kind].feed(self.cluster.put(kind, name, uid, owner))

    async def remove(self) -> None:
        places = [place(self.world.caches, OWNER, slot) for slot in "ab"]
        await leftovers.remove(self.world, places)

    def names(self) -> set[str]:
        return {name for kind, name in self.cluster.there if kind is not ACCOUNT}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def of(kind: Kind, name: str, uid: str) -> dict[str, Any]:
    return {"kind": kind.name, "name": name, "uid": uid}


async def test_what_an_account_before_had_is_removed_set_and_pod(bench: Bench) -> None:
    bench.seen(STATEFUL_SET, "demo-b", "s", of(ACCOUNT, "demo", "old"))
    bench.seen(POD, "demo-a-0", "p", of(STATEFUL_SET, "demo-a", "gone"))

    await bench.remove()

    assert bench.names() == set()


async def test_a_pod_goes_after_its_set_and_not_with_it(bench: Bench) -> None:
    bench.seen(STATEFUL_SET, "demo-a", "s", of(ACCOUNT, "demo", "old"))
    bench.seen(POD, "demo-a-0", "p", of(STATEFUL_SET, "demo-a", "s"))

    await bench.remove()

    # Whether Kubernetes ends it now is Kubernetes' turn.
    assert bench.names() == {"demo-a-0"}


async def test_our_own_are_left_alone_and_nobody_is_asked(bench: Bench) -> None:
    bench.seen(STATEFUL_SET, "demo-a", "s", of(ACCOUNT, "demo", "new"))
    bench.seen(POD, "demo-a-0", "p", of(STATEFUL_SET, "demo-a", "s"))
    bench.cluster.away = True

    await bench.remove()

    assert bench.names() == {"demo-a", "demo-a-0"}


@pytest.mark.parametrize(
    "owner",
    [None, of(STATEFUL_SET, "demo", "x"), {"kind": "Deployment", "name": "demo", "uid": "x"}],
    ids=["nobody", "another kind of ours", "another kind"],
)
async def test_what_is_somebodys_is_left_alone(bench: Bench, owner: dict[str, Any] | None) -> None:
    bench.seen(STATEFUL_SET, "demo-a", "s", owner)

    await bench.remove()

    assert bench.names() == {"demo-a"}


async def test_our_view_may_be_older_than_the_owner_which_lives_then(bench: Bench) -> None:
    # The account was made anew once more; we hold the one before, and its successor's objects.
    bench.cluster.put(ACCOUNT, "demo", "newest", None)
    bench.seen(STATEFUL_SET, "demo-a", "s", of(ACCOUNT, "demo", "newest"))
    bench.cluster.put(STATEFUL_SET, "demo-b", "s2", of(ACCOUNT, "demo", "newest"))
    bench.seen(POD, "demo-b-0", "p", of(STATEFUL_SET, "demo-b", "s2"))

    await bench.remove()

    assert bench.names() == {"demo-a", "demo-b", "demo-b-0"}


async def test_what_was_orphaned_on_purpose_meanwhile_stays(bench: Bench) -> None:
    bench.seen(STATEFUL_SET, "demo-a", "s", of(ACCOUNT, "demo", "old"))
    there = bench.cluster.there[STATEFUL_SET, "demo-a"]["metadata"]
    there["resourceVersion"] = "2"
    del there["ownerReferences"]

    await bench.remove()

    assert bench.names() == {"demo-a"}


async def test_what_is_being_deleted_is_left_to_its_end(bench: Bench) -> None:
    bench.seen(STATEFUL_SET, "demo-a", "s", of(ACCOUNT, "demo", "old"))
    manifest = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert manifest is not None
    manifest["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "2"}
    bench.world.caches[STATEFUL_SET].feed(manifest)
    bench.cluster.away = True

    await bench.remove()


async def test_an_api_server_that_does_not_answer_proves_nothing(bench: Bench) -> None:
    bench.seen(STATEFUL_SET, "demo-a", "s", of(ACCOUNT, "demo", "old"))
    bench.cluster.away = True

    with pytest.raises(ApiUnavailable):
        await bench.remove()

    assert bench.names() == {"demo-a"}
