# SPDX-License-Identifier: Apache-2.0
"""The table and its sources: Redis first, ConfigMaps when Redis is away, never empty by mistake."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.ports import free_port
from cluster.waiting import patience_s
from router.conftest import MakeRouter
from router.proxy import Router
from router.redis_server import RedisServer, route
from router.upstream import Upstream
from router.waiting import AT_ONCE_S, until

pytestmark = pytest.mark.service

FOREIGN = "99999999-9999-4999-8999-999999999999"


async def stub_of(router: Router, account: str) -> str:
    """Return which stub answers for an account, or the slug of the problem."""
    answer = await router.ask(f"/accounts/{account}/api/x")
    return str(answer.json["stub"]) if answer.status == 200 else answer.problem


async def becomes(router: Router, account: str, wanted: str, *, timeout_s: float = 10) -> None:
    """Wait until an account is answered by that stub or with that problem."""

    async def look() -> bool:
        return await stub_of(router, account) == wanted

    await until(look, what=f"{account} to become {wanted}", timeout_s=timeout_s)


async def test_before_the_table_is_there_nobody_is_told_404(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    router = await make_router(REDIS_URL=redis.url)

    assert not await router.ready()
    loading = await router.ask("/accounts/10001/api/x")
    assert (loading.status, loading.problem) == (503, "routes-loading")
    assert loading.headers["Retry-After"]

    await redis.put("10001", upstream.address)
    await becomes(router, "10001", "one")
    assert await stub_of(router, "777") == "routes-loading"  # the hash may still lack it
    await redis.complete()
    await until(router.ready, what="ready")
    assert await stub_of(router, "777") == "account-unknown"


async def test_a_change_is_visible_at_once(
    router: Router,
    redis: RedisServer,
    upstream: Upstream,
    other: Upstream,
) -> None:
    taken_s = []
    for turn in range(20):
        target = other if turn % 2 == 0 else upstream
        began = time.perf_counter()
        await redis.put("10001", target.address, epoch=turn + 2)
        await becomes(router, "10001", target.name, timeout_s=AT_ONCE_S)
        taken_s.append(time.perf_counter() - began)

    assert max(taken_s) < patience_s(AT_ONCE_S)


async def test_a_removed_account_is_unknown_and_an_emptied_one_unavailable(
    router: Router, redis: RedisServer
) -> None:
    await redis.put("10001", reason="Suspended", message="Suspended by its owner.")
    await becomes(router, "10001", "account-unavailable", timeout_s=AT_ONCE_S)
    await redis.remove("10001")
    await becomes(router, "10001", "account-unknown", timeout_s=AT_ONCE_S)


async def test_what_the_stream_did_not_tell_is_found_by_the_next_full_look(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream, other: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.put("gone", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, RESYNC_INTERVAL_S=1)
    await until(router.ready, what="ready")

    await redis.client.hset("mt5:routes", "10001", json.dumps(route(other.address)))
    await redis.client.hset("mt5:routes", "new", json.dumps(route(other.address)))
    await redis.client.hdel("mt5:routes", "gone")

    await becomes(router, "10001", "two")
    await becomes(router, "new", "two")
    await becomes(router, "gone", "account-unknown")


async def test_a_flushed_redis_empties_nothing_until_it_is_complete_again(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream, other: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.put("10002", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, RESYNC_INTERVAL_S=1)
    await until(router.ready, what="ready")

    await redis.client.flushall()
    await redis.put("10001", other.address)  # the operator begins to write again
    await becomes(router, "10001", "two")
    before = await router.metric("mt5_router_resyncs_total")
    generations = await router.metric("mt5_router_looks_total")
    await until(
        lambda: _above(router, "mt5_router_looks_total", generations + 2), what="more full looks"
    )
    assert await router.metric("mt5_router_resyncs_total") == before
    assert await stub_of(router, "10002") == "one"
    assert await router.ready()

    await redis.complete()  # without 10002: now it is really gone
    await becomes(router, "10002", "account-unknown")


async def _above(router: Router, metric: str, value: float) -> bool:
    return await router.metric(metric) > value


async def test_a_killed_redis_harms_no_known_route_and_its_return_is_noticed(
    router: Router, redis: RedisServer, other: Upstream
) -> None:
    redis.kill()
    await until(lambda: _is(router, "mt5_router_redis_connected", 0), what="the loss to be noticed")

    assert await stub_of(router, "10001") == "one"
    assert await stub_of(router, "777") == "account-unknown"
    assert await router.ready()
    assert await router.alive()

    await redis.start()  # empty, as after a crash without a disk
    await until(lambda: _is(router, "mt5_router_redis_connected", 1), what="the return")
    assert await stub_of(router, "10001") == "one"
    await redis.put("10001", other.address)
    await becomes(router, "10001", "two")


async def _is(router: Router, metric: str, value: float) -> bool:
    return await router.metric(metric) == value


async def test_a_hanging_redis_is_noticed_too(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, REDIS_TIMEOUT_MS=300)
    await until(router.ready, what="ready")

    redis.freeze()
    await until(lambda: _is(router, "mt5_router_redis_connected", 0), what="the hang")
    assert await stub_of(router, "10001") == "one"
    redis.thaw()
    await until(lambda: _is(router, "mt5_router_redis_connected", 1), what="the return")


async def test_a_password_is_read_from_its_file_again_for_each_new_connection(
    tmp_path: Path, upstream: Upstream
) -> None:
    redis = RedisServer(tmp_path, password="correct-horse")
    router = Router(REDIS_URL=redis.url)
    file = router.directory / "password"  # where whoever it runs as may read
    router.configure("REDIS_PASSWORD_FILE", file)
    await redis.start()
    try:
        await redis.put("10001", upstream.address)
        await redis.complete()
        file.write_text("wrong")
        await router.start()
        await until(lambda: "WRONGPASS" in router.errors(), what="the refusal to be told")
        assert not await router.ready()

        file.write_text("correct-horse\n")

        await until(router.ready, what="ready")
        assert "correct-horse" not in router.errors()
    finally:
        await router.close()
        await redis.close()


async def test_two_installations_in_one_redis_do_not_mix(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream, other: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, RESYNC_INTERVAL_S=1)
    await until(router.ready, what="ready")

    await redis.complete(FOREIGN)
    await until(lambda: _is(router, "mt5_router_foreign_installation", 1), what="suspicion")
    await redis.put("10001", other.address)
    await redis.put("666", other.address)
    turned = await router.metric("mt5_router_cycles_total")
    await until(lambda: _above(router, "mt5_router_cycles_total", turned + 2), what="turns")

    assert await stub_of(router, "10001") == "one"
    assert await stub_of(router, "666") == "account-unknown"

    await redis.complete()  # ours again
    await becomes(router, "10001", "two")
    assert await router.metric("mt5_router_foreign_installation") == 0


async def test_configmaps_give_the_start_when_redis_is_away(
    make_router: MakeRouter, upstream: Upstream, other: Upstream
) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    router = await make_router(REDIS_URL=nowhere, CONFIGMAP_INTERVAL_S=0.2)
    assert await stub_of(router, "10001") == "routes-loading"

    router.write_shard(0, {"10001": upstream.address}, shards=2)
    await becomes(router, "10001", "one")
    assert not await router.ready()  # half of the table may hold any other account
    assert await stub_of(router, "20002") == "routes-loading"

    router.write_shard(1, {"20002": other.address}, shards=2)
    await until(router.ready, what="ready")
    assert await stub_of(router, "20002") == "two"
    assert await stub_of(router, "777") == "account-unknown"

    router.write_shard(1, {"20002": upstream.address, "new": other.address}, shards=2)
    router.write_shard(0, {}, shards=2)
    await becomes(router, "20002", "one")
    await becomes(router, "new", "two")
    await becomes(router, "10001", "account-unknown")


async def test_without_a_redis_at_all_configmaps_are_enough(
    make_router: MakeRouter, upstream: Upstream
) -> None:
    router = await make_router(CONFIGMAP_INTERVAL_S=0.2)
    router.write_shard(0, {"10001": upstream.address})

    await becomes(router, "10001", "one")
    assert await router.ready()


async def test_old_files_never_undo_what_redis_told_last(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream, other: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = Router(REDIS_URL=redis.url, CONFIGMAP_INTERVAL_S=0.2)
    router.write_shard(0, {"10001": upstream.address})
    try:
        await router.start()
        await until(router.ready, what="ready")
        await redis.put("10001", other.address, epoch=2)  # the kubelet's file is not there yet
        await becomes(router, "10001", "two")

        redis.kill()
        looks = await router.metric("mt5_router_file_looks_total")
        await until(
            lambda: _above(router, "mt5_router_file_looks_total", looks + 2), what="looks at files"
        )
        assert await stub_of(router, "10001") == "two"

        router.write_shard(0, {"10001": other.address, "20002": upstream.address})
        await becomes(router, "20002", "one")
        assert await stub_of(router, "10001") == "two"
    finally:
        await router.close()


async def test_malformed_sources_are_told_and_harm_nobody(
    router: Router, redis: RedisServer, other: Upstream
) -> None:
    await redis.client.xadd("mt5:routes:changes", {"op": "set", "id": "bad", "route": "{no json"})
    await redis.client.xadd("mt5:routes:changes", {"op": "set", "id": "../x", "route": "{}"})
    await redis.client.xadd("mt5:routes:changes", {"nothing": "known"})
    await redis.put("named", "sidecar.example:8080")
    await redis.put("fine", other.address)

    await becomes(router, "fine", "two")
    assert await stub_of(router, "named") == "account-unavailable"
    assert await stub_of(router, "bad") == "account-unknown"
    assert "route-malformed" in router.errors()


async def test_a_killed_worker_is_replaced_and_goes_on_feeding(
    router: Router, redis: RedisServer, other: Upstream
) -> None:
    for pid in router.workers():
        router.kill_worker(pid)
    await until(router.alive, what="new workers")
    await redis.put("10001", other.address)

    await becomes(router, "10001", "two")


async def test_ten_thousand_routes_fit_into_16_megabytes(
    make_router: MakeRouter,
    redis: RedisServer,
    upstream: Upstream,
) -> None:
    text = json.dumps(route("10.123.234.123:8080", uid="11111111-1111-4111-8111-111111111111"))
    routes: dict[Any, Any] = {f"account-{number:010d}": text for number in range(10_000)}
    await redis.client.hset("mt5:routes", mapping=routes)
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, TABLE_BYTES=16 * 1024 * 1024)

    await until(router.ready, what="ready")

    assert await router.metric("mt5_router_routes") == 10_001
    assert await router.metric("mt5_router_table_full") == 0
    assert await stub_of(router, "10001") == "one"


async def test_a_full_table_keeps_what_it_has_and_says_so(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, TABLE_BYTES=65536)
    await until(router.ready, what="ready")

    for number in range(600):
        await redis.put(f"account-{number:040d}", upstream.address)

    await until(lambda: _is(router, "mt5_router_table_full", 1), what="the table to be full")
    assert await stub_of(router, "10001") == "one"
    assert "route-table-full" in router.errors()
