# SPDX-License-Identifier: Apache-2.0
"""The route table heals: what overlapped a repair, what came back older, what was edited."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mt5_operator.reasons import Reason
from mt5_operator.routes.redis_store import RedisStore
from mt5_operator.routes.route import MESSAGE_LENGTH, Route, brief, routes_of, shard, text
from operator_cluster.redis_process import RedisServer
from operator_samples import ELSEWHERE, HERE, ConfigMaps, table


def executed(redis: RedisServer) -> int:
    """Return how many transactions Redis has run: each of our writes is one."""
    found: Any = redis.client.info("commandstats")
    return int(found.get("cmdstat_exec", {"calls": 0})["calls"])


@pytest.mark.service
async def test_what_changes_while_redis_is_repaired_is_not_lost(
    redis: RedisServer, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = table(ConfigMaps(), store, {"1", "2", "3"})
    await routes.load()
    await routes.put("1", HERE)
    await routes.put("2", HERE)
    written = store.put

    async def change_and_put(wanted: Any) -> None:
        await written(wanted)
        if routes.get("1"):
            await routes.remove("1")
            await routes.put("2", ELSEWHERE)

    monkeypatch.setattr(store, "put", change_and_put)

    await routes.check()

    assert redis.routes() == {"2": json.loads(text(ELSEWHERE))}
    assert routes.problem("2") == ""


@pytest.mark.service
async def test_a_redis_that_comes_back_older_with_its_marker_is_found_out(
    redis: RedisServer, store: RedisStore
) -> None:
    routes = table(ConfigMaps(), store, {"1"})
    await routes.load()
    await routes.check()
    await routes.put("1", HERE)

    await store.put({"1": ELSEWHERE, "9": ELSEWHERE})
    await routes.check()
    await routes.compare()

    assert redis.routes() == {"1": json.loads(text(HERE))}
    assert redis.client.get("account:1:container") == HERE.address


@pytest.mark.service
async def test_a_comparison_of_equal_tables_writes_nothing(
    redis: RedisServer, store: RedisStore
) -> None:
    maps = ConfigMaps()
    routes = table(maps, store, {"1"})
    await routes.load()
    await routes.put("1", HERE)
    await routes.check()
    await routes.flush()
    before, writes = executed(redis), maps.writes

    await routes.compare()

    assert not routes.changed.is_set()
    assert (executed(redis), maps.writes) == (before, writes)


@pytest.mark.parametrize("harm", ["deleted", "edited"])
async def test_a_shard_that_was_harmed_by_hand_is_written_again(harm: str) -> None:
    maps = ConfigMaps()
    routes = table(maps, None, {"1"})
    await routes.load()
    await routes.put("1", HERE)
    await routes.flush()
    for name in list(maps.maps):
        if harm == "deleted":
            del maps.maps[name]
        else:
            maps.maps[name] = {**maps.maps[name], "data": {"routes.json": "{}"}}

    await routes.compare()

    assert routes.changed.is_set()
    await routes.flush()
    assert maps.routes() == {"1": HERE}


@pytest.mark.service
async def test_a_new_leader_takes_newer_routes_from_redis(
    redis: RedisServer, store: RedisStore
) -> None:
    maps = ConfigMaps()
    first = table(maps, store, {"1", "2", "3"})
    await first.load()
    await first.check()
    await first.put("1", HERE)
    await first.put("2", HERE)
    await first.flush()
    await first.put("1", ELSEWHERE)  # and it dies before the ConfigMap is written
    await first.put("3", ELSEWHERE)

    second = table(maps, store, {"1", "2", "3"})
    await second.load()
    await second.put("2", ELSEWHERE)
    await second.check()
    await second.flush()

    wanted = dict.fromkeys("123", ELSEWHERE)
    assert redis.routes() == {name: json.loads(text(route)) for name, route in wanted.items()}
    assert maps.routes() == wanted


@pytest.mark.service
async def test_the_redis_of_another_installation_is_left_alone_and_that_is_told(
    redis: RedisServer, store: RedisStore
) -> None:
    await store.put({"9": ELSEWHERE})
    await store.complete(installation="other", count=1, now="now")
    routes = table(ConfigMaps(), store, {"1"})
    await routes.load()
    await routes.put("1", HERE)

    await routes.check()
    await routes.compare()
    await routes.put("1", ELSEWHERE)
    await routes.remove("9")

    assert set(redis.routes()) == {"9"}
    assert await store.installation() == "other"
    assert "routes of another installation (other)" in routes.problem("1")
    assert "mt5:routes:complete" in routes.problem("1")
    redis.client.delete("mt5:routes:complete")
    await routes.check()
    assert redis.routes() == {"1": json.loads(text(ELSEWHERE))}
    assert routes.problem("1") == routes.foreign == ""


@pytest.mark.service
async def test_an_installation_that_takes_over_our_redis_stops_our_writes(
    redis: RedisServer, store: RedisStore
) -> None:
    routes = table(ConfigMaps(), store, {"1"})
    await routes.load()
    await routes.check()
    await routes.put("1", HERE)

    await store.complete(installation="other", count=1, now="now")
    await routes.check()
    await routes.put("1", ELSEWHERE)

    assert redis.routes() == {"1": json.loads(text(HERE))}
    assert routes.foreign


@pytest.mark.parametrize("letter", ["x", '"', "ж", "\U0001f4a5", "\x00"])
def test_routes_of_10000_accounts_in_trouble_fit_into_four_shards(letter: str) -> None:
    longest = max(Reason, key=lambda reason: len(reason.value))
    route = Route(reason=longest.value, message=brief(letter * 5000))
    routes = {str(9_000_000_000_000_000_000 + n): route for n in range(10_000)}

    shards = [shard(n, routes, shards=4, installation="i" * 36, namespace="n") for n in range(4)]

    assert len(json.dumps(route.message)) <= MESSAGE_LENGTH + 2
    assert sum(len(routes_of(manifest)) for manifest in shards) == 10_000
    assert max(len(manifest["data"]["routes.json"].encode()) for manifest in shards) <= 900_000


def test_a_short_message_is_told_whole() -> None:
    assert brief("no such server") == "no such server"
    assert len(brief("x" * 201)) == 200
