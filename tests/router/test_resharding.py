# SPDX-License-Identifier: Apache-2.0
"""Another number of ConfigMaps while Redis is away: nobody is called unknown who is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.ports import free_port
from mt5_operator.routes.route import shard_of
from router.conftest import MakeRouter
from router.proxy import Router
from router.upstream import Upstream
from router.waiting import until

pytestmark = pytest.mark.service

ACCOUNTS = [str(10001 + n) for n in range(24)]


@pytest.fixture
def start(make_router: MakeRouter) -> Callable[..., object]:
    """Return what starts a router that has a Redis and cannot reach it."""

    async def router(mounted: int) -> Router:
        nowhere = f"redis://127.0.0.1:{free_port()}/0"
        return await make_router(
            REDIS_URL=nowhere, CONFIGMAP_SHARDS=mounted, CONFIGMAP_INTERVAL_S=0.05
        )

    return router


def write(router: Router, number: int, routes: dict[str, str], *, shards: int) -> None:
    """Write one of `shards` files as the operator parts its table."""
    mine = {name: at for name, at in routes.items() if shard_of(name, shards) == number}
    router.write_shard(number, mine, shards=shards)


async def looked(router: Router) -> None:
    """Return once the router has looked at its files again, all of them."""
    before = await router.metric("mt5_router_file_looks_total")

    async def again() -> bool:
        return await router.metric("mt5_router_file_looks_total") > before + 1

    await until(again, what="another look at the files")


async def answers(router: Router) -> set[str]:
    """Return which stubs or problems answer for all the accounts."""
    found = set()
    for name in ACCOUNTS:
        answer = await router.ask(f"/accounts/{name}/api/x")
        found.add(str(answer.json["stub"]) if answer.status == 200 else answer.problem)
    return found


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 4), (3, 5)])
@pytest.mark.parametrize("backwards", [False, True], ids=["upwards", "downwards"])
async def test_while_the_files_change_their_number_every_account_is_served(
    start: MakeRouter, upstream: Upstream, before: int, after: int, *, backwards: bool
) -> None:
    router = await start(max(before, after))
    routes = dict.fromkeys(ACCOUNTS, upstream.address)
    for number in range(before):
        write(router, number, routes, shards=before)
    await until(router.ready, what="ready")
    assert await answers(router) == {"one"}

    for number in sorted(range(max(before, after)), reverse=backwards):
        write(router, number, routes, shards=after)  # surplus ones are emptied
        await looked(router)
        assert await answers(router) == {"one"}, f"after file {number}"

    gone = ACCOUNTS[0]
    write(router, shard_of(gone, after), {n: routes[n] for n in ACCOUNTS[1:]}, shards=after)
    await until(lambda: _is_unknown(router, gone), what="the removed account to be unknown")


async def test_a_router_that_mounts_the_old_number_serves_every_account_it_knew(
    start: MakeRouter, upstream: Upstream
) -> None:
    router = await start(4)
    routes = dict.fromkeys(ACCOUNTS, upstream.address)
    for number in range(4):
        write(router, number, routes, shards=4)
    await until(router.ready, what="ready")

    for number in range(4):
        write(router, number, routes, shards=8)
    await looked(router)

    assert await answers(router) == {"one"}


async def test_a_route_that_changed_with_the_number_is_followed(
    start: MakeRouter, upstream: Upstream, other: Upstream
) -> None:
    router = await start(8)
    for number in range(4):
        write(router, number, dict.fromkeys(ACCOUNTS, upstream.address), shards=4)
    await until(router.ready, what="ready")

    for number in range(8):
        write(router, number, dict.fromkeys(ACCOUNTS, other.address), shards=8)

    await looked(router)
    assert await answers(router) == {"two"}


async def test_a_router_of_more_files_starts_from_fewer(
    start: MakeRouter, upstream: Upstream
) -> None:
    router = await start(8)

    for number in range(4):
        write(router, number, dict.fromkeys(ACCOUNTS, upstream.address), shards=4)

    await until(router.ready, what="ready")
    assert await answers(router) == {"one"}
    assert await _is_unknown(router, "777")


async def test_a_router_of_fewer_files_waits_for_the_rest_and_calls_nobody_unknown(
    start: MakeRouter, upstream: Upstream
) -> None:
    router = await start(4)
    routes = dict.fromkeys(ACCOUNTS, upstream.address)
    for number in range(4):
        write(router, number, routes, shards=8)
    await looked(router)

    assert await answers(router) == {"one", "routes-loading"}
    assert not await router.ready()  # so a rollout keeps the routers of before

    for number in range(4):
        write(router, number, routes, shards=4)
    await until(router.ready, what="ready")
    assert await answers(router) == {"one"}


async def _is_unknown(router: Router, name: str) -> bool:
    answer = await router.ask(f"/accounts/{name}/api/x")
    return answer.status == 404 and answer.problem == "account-unknown"
