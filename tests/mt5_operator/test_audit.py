# SPDX-License-Identifier: Apache-2.0
"""Caches are compared with the server's lists: each kind by itself, and before anybody leads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from cluster.waiting import patience_s
from mt5_operator.cluster.audit import Audit
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, BROKER, CONFIG_MAP, NAMESPACE, NODE, POD, Kind
from mt5_operator.errors import ApiError, NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.settings import Settings

POD_KEY = Key("ns", "demo-a-0")


class Server:
    """Lists names and versions; some kinds are not known to it."""

    def __init__(self) -> None:
        self.there: dict[Kind, dict[Key, tuple[str, int]]] = {}
        self.unknown: set[Kind] = set()
        self.listed: list[Kind] = []
        # Namespaces that refuse us, and what there is of them.
        self.closed: dict[str, dict[str, Any] | None] = {}

    async def versions(self, kind: Kind, namespace: str = "") -> dict[Key, tuple[str, int]]:
        self.listed.append(kind)
        if kind in self.unknown:
            raise NotFound(404, "NotFound", "the server could not find the requested resource")
        if namespace in self.closed:
            raise Refused(403, "Forbidden", f"cannot list {kind.plural} in {namespace}")
        there = self.there.get(kind, {})
        return {key: seen for key, seen in there.items() if namespace in ("", key.namespace)}

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        assert kind is NAMESPACE
        found = self.closed[key.name]
        if found is None:
            raise NotFound(404, "NotFound", f'namespaces "{key.name}" not found')
        return {"metadata": found}


class Bench:
    """An audit, with a clock that goes on with each look at it."""

    def __init__(self, namespaces: Sequence[str] = (), **settings: Any) -> None:
        self.server, self.seconds = Server(), 0.0
        self.caches = Caches(clock=self._now)
        self.vanished: list[tuple[Kind, Key]] = []
        api: Any = self.server
        self.audit = Audit(
            api,
            self.caches,
            Settings(namespaces=list(namespaces), **settings),
            vanished=lambda kind, key: self.vanished.append((kind, key)),
        )

    def _now(self) -> float:
        self.seconds += 1
        return self.seconds

    def feed(self, uid: str, version: int) -> None:
        """Let the watch tell of the pod."""
        meta = {"name": POD_KEY.name, "namespace": "ns", "uid": uid, "resourceVersion": version}
        self.caches[POD].feed({"metadata": meta, "spec": {}, "status": {}})


async def test_a_kind_that_is_gone_keeps_no_other_from_being_audited() -> None:
    bench = Bench()
    bench.server.unknown = {BROKER}
    bench.feed("p", 1)

    with pytest.raises(ApiError):
        await bench.audit.run()

    assert {ACCOUNT, POD, CONFIG_MAP, NODE} <= set(bench.server.listed)
    assert bench.vanished == [(POD, POD_KEY)]
    assert not bench.audit.synced.is_set()
    bench.server.unknown = set()
    await bench.audit.run()
    assert bench.audit.synced.is_set()


@pytest.mark.parametrize("before", [[], [("old", 1)], [("new", 4)]], ids=["none", "old", "older"])
async def test_who_comes_to_lead_waits_until_its_caches_hold_what_there_is(
    before: list[tuple[str, int]],
) -> None:
    bench = Bench()
    for uid, version in before:
        bench.feed(uid, version)
    bench.server.there[POD] = {POD_KEY: ("new", 5)}

    waits = asyncio.ensure_future(bench.audit.caught_up())
    while bench.server.listed.count(POD) < 3:
        await asyncio.sleep(0)
        assert not waits.done()
        await asyncio.sleep(0.05)
    assert not waits.done()
    bench.feed("new", 5)

    await asyncio.wait_for(waits, patience_s(5))
    assert bench.server.listed.count(ACCOUNT) == 1  # what was caught up with is not listed again


async def test_a_kind_that_is_gone_keeps_nobody_from_leading() -> None:
    bench = Bench()
    bench.server.unknown = {BROKER}

    await asyncio.wait_for(bench.audit.caught_up(), patience_s(5))


@pytest.mark.parametrize(
    "left", [None, {"deletionTimestamp": "2026-11-22T08:00:00Z"}], ids=["gone", "going"]
)
async def test_a_namespace_that_is_gone_holds_nothing_and_keeps_nobody_from_leading(
    left: dict[str, Any] | None,
) -> None:
    bench = Bench(["ns", "other"])
    bench.feed("p", 1)
    # With a listed namespace goes the Role by which it was listed.
    bench.server.closed = {"ns": left}

    await bench.audit.run()

    assert bench.vanished == [(POD, POD_KEY)]
    assert bench.audit.synced.is_set()
    assert not bench.audit.refusing
    await asyncio.wait_for(bench.audit.caught_up(), patience_s(5))


async def test_a_namespace_that_refuses_us_is_not_taken_for_empty_and_the_others_are_audited() -> (
    None
):
    bench = Bench(["ns", "other"])
    bench.feed("p", 1)
    bench.server.closed = {"ns": {}}
    others = Key("other", "next-a-0")
    bench.server.there[POD] = {others: ("q", 3)}

    for _ in range(2):
        await bench.audit.run()

    assert not bench.vanished, "its pods may well be there"
    assert bench.audit.stale == {POD}, "of the other namespace"
    assert list(bench.audit.refusing) == ["ns"]
    # Who has which account id there is not known: nobody new leads by that.
    assert not bench.audit.synced.is_set()
    with pytest.raises(Refused):
        await bench.audit.caught_up()

    bench.server.closed = {}
    bench.server.there = {POD: {POD_KEY: ("p", 1)}}
    await bench.audit.run()
    assert bench.audit.synced.is_set()
    assert not bench.audit.refusing


async def test_a_server_that_refuses_all_namespaces_was_not_audited() -> None:
    bench = Bench(["ns", "other"])
    bench.server.closed = {"ns": {}, "other": {}}

    with pytest.raises(Refused):
        await bench.audit.run()


# Again and again.


class Over(Exception):
    """The test has seen enough."""


async def repeated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, looks: int, relists: Sequence[int] = ()
) -> list[float]:
    """Let so many looks be taken; return the pauses. A watch is listed anew amid `relists`."""
    pauses: list[float] = []
    relisted, runs, run, wait_for = asyncio.Event(), 0, bench.audit.run, asyncio.wait_for

    async def counted() -> None:
        nonlocal runs
        if runs == looks:
            raise Over
        runs += 1
        if runs in relists:
            relisted.set()
        await run()

    async def slept(seconds: float) -> None:
        pauses.append(seconds)

    async def waited(waits: Coroutine[Any, Any, bool], timeout_s: float) -> bool:
        if relisted.is_set():
            return await wait_for(waits, 5)
        waits.close()
        pauses.append(timeout_s)
        raise TimeoutError

    monkeypatch.setattr(bench.audit, "run", counted)
    monkeypatch.setattr(asyncio, "sleep", slept)
    monkeypatch.setattr(asyncio, "wait_for", waited)
    with pytest.raises(Over):
        await bench.audit.repeat(relisted, lambda: pauses.append(-1))
    return pauses


TIMES = {"watch_audit_s": 50.0, "watch_audit_pause_s": 3.0, "watch_catch_up_s": 0.7}


async def test_audits_come_as_often_as_is_set_and_soon_after_a_new_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(**TIMES)

    # The third look was listed anew amid: it may have compared that kind before.
    pauses = await repeated(bench, monkeypatch, looks=4, relists=[3])

    assert pauses == [50, 50, 3, 50]


async def test_an_audit_that_fails_is_repeated_after_the_pauses_that_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(**TIMES)
    bench.server.unknown = {BROKER}

    assert await repeated(bench, monkeypatch, looks=2) == [-1, 3, 0.7, -1, 3, 0.7]


async def test_a_namespace_that_refuses_us_is_asked_again_after_the_pauses_that_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(["ns", "other"], **TIMES)
    bench.server.closed = {"ns": {}}

    assert await repeated(bench, monkeypatch, looks=1) == [3, 0.7]


async def test_who_comes_to_lead_lists_as_often_as_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, pauses = Bench(**TIMES), list[float]()
    bench.server.there[POD] = {POD_KEY: ("new", 5)}

    async def slept(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            bench.feed("new", 5)

    monkeypatch.setattr(asyncio, "sleep", slept)

    await bench.audit.caught_up()

    assert pauses == [0.7, 0.7]
