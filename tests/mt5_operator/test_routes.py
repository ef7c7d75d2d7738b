# SPDX-License-Identifier: Apache-2.0
"""The route table: shards, and its two stores."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from mt5_operator.errors import ApiUnavailable, RouteStoreUnavailable
from mt5_operator.routes.redis_store import RedisStore
from mt5_operator.routes.route import Route, parse, routes_of, shard, text
from operator_cluster.redis_process import RedisServer
from operator_samples import ELSEWHERE, HERE, ConfigMaps, table


class _There:
    """A Redis that is there, and empty."""

    async def installation(self, ours: str) -> str | None:
        return None

    async def load(self) -> dict[str, Route | None]:
        return {}

    async def put(self, routes: Mapping[str, Route]) -> None:
        pass

    async def remove(self, account_ids: Iterable[str]) -> None:
        pass

    async def complete(self, **_: object) -> None:
        pass


class _Away(_There):
    """A Redis that does not answer."""

    async def installation(self, ours: str) -> str | None:
        raise RouteStoreUnavailable("no answer")


def test_a_route_survives_being_stored() -> None:
    assert parse(text(HERE)) == HERE
    assert parse("nonsense") is None
    assert parse('{"port": 1}') is None


def test_shards_part_the_table_by_crc32_of_the_id() -> None:
    routes = {str(n): HERE for n in range(100)}

    shards = [shard(n, routes, shards=4, installation="i", namespace="ns") for n in range(4)]

    held = [set(routes_of(manifest)) for manifest in shards]
    assert set().union(*held) == set(routes)
    assert sum(map(len, held)) == 100
    assert json.loads(shards[1]["data"]["routes.json"])["shards"] == 4


async def test_an_unchanged_table_costs_no_write() -> None:
    maps = ConfigMaps()
    first = table(maps, None, {"1"})
    await first.load()
    await first.put("1", HERE)
    await first.flush()
    written = maps.writes

    again = table(maps, None, {"1"})
    await again.load()
    await again.put("1", HERE)
    await again.flush()

    assert maps.writes == written == 4


async def test_a_new_leader_forgets_routes_of_accounts_that_are_gone() -> None:
    maps = ConfigMaps()
    first = table(maps, None, {"1", "2"})
    await first.load()
    await first.put("1", HERE)
    await first.put("2", ELSEWHERE)
    await first.flush()

    again = table(maps, None, {"1"})
    await again.load()
    await again.flush()

    assert maps.routes() == {"1": HERE}


@pytest.mark.service
async def test_redis_holds_what_readers_were_promised(
    redis: RedisServer, store: RedisStore
) -> None:
    await store.put({"1": HERE})
    await store.complete(installation="i", count=1, now="now")

    assert redis.routes() == {"1": json.loads(text(HERE))}
    assert redis.client.get("account:1:container") == "10.0.0.1:8080"
    for key in ("mt5:routes", "account:1:container"):
        assert redis.client.ttl(key) == -1, f"{key} is not there, or expires"
    ((_, change),) = redis.client.xrange("mt5:routes:changes")  # type: ignore[misc,union-attr]
    assert change == {"op": "set", "id": "1", "route": text(HERE)}
    assert await store.installation() == "i"

    await store.put({"1": Route(reason="Suspended")})
    assert redis.client.get("account:1:container") is None
    await store.remove(["1"])
    assert redis.routes() == {}
    assert redis.client.xrevrange("mt5:routes:changes", count=1)[0][1]["op"] == "del"  # type: ignore[index]


@pytest.mark.service
async def test_a_flushed_redis_is_written_again_and_an_intact_one_is_not(
    redis: RedisServer, store: RedisStore
) -> None:
    routes = table(ConfigMaps(), store, {"1"})
    await routes.load()
    await routes.check()
    await routes.put("1", HERE)
    redis.client.flushall()

    await routes.check()

    assert redis.routes() == {"1": json.loads(text(HERE))}
    changes = redis.client.xlen("mt5:routes:changes")
    await routes.check()
    assert redis.client.xlen("mt5:routes:changes") == changes


@pytest.mark.service
async def test_an_account_that_was_not_looked_at_yet_keeps_its_route(
    redis: RedisServer, store: RedisStore
) -> None:
    await store.put({"1": HERE})
    routes = table(ConfigMaps(), store, {"1"})
    await routes.load()

    await routes.check()

    assert set(redis.routes()) == {"1"}


@pytest.mark.service
async def test_while_redis_is_away_the_table_says_so_and_repairs_afterwards(
    redis: RedisServer, store: RedisStore
) -> None:
    maps = ConfigMaps()
    routes = table(maps, store, {"1", "2"})
    await routes.load()
    await routes.check()
    await routes.put("2", ELSEWHERE)
    redis.stop()

    await routes.put("1", HERE)
    await routes.remove("2")
    await routes.flush()

    assert "Redis does not take it" in routes.problem("1")
    assert maps.routes() == {"1": HERE}
    redis.start()
    # As a Redis with a volume comes back: complete, and out of date.
    redis.client.hset("mt5:routes", "2", text(ELSEWHERE))
    redis.client.set("mt5:routes:complete", json.dumps({"installation": "i"}))
    await routes.check()
    assert set(redis.routes()) == {"1"}
    assert routes.problem("1") == ""


async def test_what_changes_while_redis_does_not_take_it_is_late() -> None:
    away: Any = _Away()
    routes = table(ConfigMaps(), away, {"1"})
    await routes.load()
    await routes.check()
    assert routes.late.is_set(), "what was written before may have been lost"
    routes.late.clear()

    await routes.put("1", HERE)
    assert not routes.late.is_set(), "no ConfigMap has it yet"
    await routes.flush()

    assert routes.late.is_set()


async def test_without_a_redis_every_change_is_late_and_with_one_none_is() -> None:
    for redis, late in ((None, True), (_There(), False)):
        store: Any = redis
        routes = table(ConfigMaps(), store, {"1"})
        await routes.load()
        await routes.check()
        await routes.put("1", HERE)
        await routes.flush()
        assert routes.late.is_set() is late


@pytest.mark.service
async def test_a_redis_that_is_away_is_one_error(redis: RedisServer, store: RedisStore) -> None:
    redis.stop()

    with pytest.raises(RouteStoreUnavailable):
        await store.load()


NAMES = {str(10001 + n) for n in range(40)}


async def filled(maps: ConfigMaps, shards: int) -> None:
    """Let an operator of so many shards write all of `NAMES`."""
    routes = table(maps, None, NAMES, shards=shards)
    await routes.load()
    for name in NAMES:
        await routes.put(name, HERE)
    await routes.flush()


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 4), (5, 3)])
async def test_another_number_of_shards_takes_over_every_route(before: int, after: int) -> None:
    maps = ConfigMaps()
    await filled(maps, before)

    routes = table(maps, None, NAMES, shards=after)
    await routes.load()
    await routes.flush()

    assert maps.routes() == dict.fromkeys(NAMES, HERE)
    tables = [json.loads(m["data"]["routes.json"]) for m in maps.maps.values()]
    assert {found["shards"] for found in tables} == {after}
    assert [n for n, found in enumerate(tables) if found["routes"] and n >= after] == []
    writes = maps.writes
    again = table(maps, None, NAMES, shards=after)
    await again.load()
    await again.flush()
    assert maps.writes == writes


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 4)])
@pytest.mark.parametrize("crash_after", range(17))
async def test_a_crash_amid_another_number_of_shards_loses_no_route(
    before: int, after: int, crash_after: int
) -> None:
    maps = ConfigMaps()
    await filled(maps, before)
    dying = table(maps, None, NAMES, shards=after)
    await dying.load()
    maps.dies_after = maps.writes + crash_after
    with contextlib.suppress(ApiUnavailable):
        await dying.flush()
    maps.dies_after = None

    routes = table(maps, None, NAMES, shards=after)
    await routes.load()
    await routes.flush()

    assert maps.routes() == dict.fromkeys(NAMES, HERE)


async def test_a_route_removed_amid_another_number_of_shards_is_in_none_of_them() -> None:
    maps, gone = ConfigMaps(), "10001"
    await filled(maps, 8)
    routes = table(maps, None, NAMES, shards=4)
    await routes.load()

    await routes.remove(gone)

    assert set(maps.routes()) == NAMES - {gone}
