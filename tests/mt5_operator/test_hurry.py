# SPDX-License-Identifier: Apache-2.0
"""Routers that learn of routes by ConfigMaps only are made to see them now."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.waiting import patience_s
from mt5_operator import names
from mt5_operator.cluster.kinds import Kind
from mt5_operator.errors import ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context import utc_now
from mt5_operator.reconcile.hurry import hurry
from mt5_operator.settings import Settings

ROUTERS = "app.kubernetes.io/component=router"


class Cluster:
    """Two routers' pods, one of them on its way out."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.patched: list[tuple[str, str]] = []
        self.news = asyncio.Event()
        self.away = False

    async def versions(self, kind: Kind, namespace: str) -> dict[Key, tuple[str, int]]:
        if self.away:
            raise ApiUnavailable("no answer")
        self.asked.append((kind.selector, namespace))
        return {Key(namespace, name): ("u", 1) for name in ("router-gone", "router-1")}

    async def merge(self, kind: Kind, key: Key, patch: dict[str, Any], *, manager: str) -> None:
        if key.name == "router-gone":
            raise NotFound(404, "NotFound", key.name)
        assert manager == names.FILES_MANAGER
        self.patched.append((key.name, patch["metadata"]["annotations"][names.FILES_VERSION]))
        self.news.set()


class Bench:
    """A leader's table says when routers are late."""

    def __init__(self, **settings: Any) -> None:
        self.cluster, self.late = Cluster(), asyncio.Event()
        given: dict[str, Any] = {"router_selector": ROUTERS, "route_hurry_s": 0.001} | settings
        world = SimpleNamespace(
            api=self.cluster, settings=Settings(namespace="mt5", **given), now=utc_now
        )
        self.context: Any = SimpleNamespace(world=world, table=SimpleNamespace(late=self.late))

    async def until(self, number: int) -> None:
        """Wait until so many pods were changed."""
        async with asyncio.timeout(patience_s(5)):
            while len(self.cluster.patched) < number:
                self.cluster.news.clear()
                await self.cluster.news.wait()


@pytest.fixture
async def bench() -> Any:
    found = Bench()
    task = asyncio.create_task(hurry(found.context))
    yield found
    task.cancel()


async def test_every_router_is_changed_and_one_that_is_gone_keeps_no_other_waiting(
    bench: Bench,
) -> None:
    bench.late.set()
    await bench.until(1)
    bench.late.set()
    await bench.until(2)

    assert set(bench.cluster.asked) == {(ROUTERS, "mt5")}
    assert [name for name, _ in bench.cluster.patched] == ["router-1", "router-1"]
    first, second = (version for _, version in bench.cluster.patched)
    assert first != second, "what is not changed is not looked at"


async def test_nobody_is_changed_without_need(bench: Bench) -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert bench.cluster.asked == []


async def test_what_could_not_be_said_is_said_later(bench: Bench) -> None:
    bench.cluster.away = True
    bench.late.set()
    for _ in range(20):
        await asyncio.sleep(0.001)
    bench.cluster.away = False

    await bench.until(1)


async def test_without_a_selector_it_does_nothing_at_all() -> None:
    await asyncio.wait_for(hurry(Bench(router_selector="").context), patience_s(1))
