# SPDX-License-Identifier: Apache-2.0
"""P9: how long after a route was written every router follows it, and what that costs clients.

The operator's way to Redis is measured with the operator (`bench.operator_scale`); here its write
is the beginning. 10,000 routes, three routers, sockets open through all of them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from bench.findings import Finding
from bench.percentiles import percentile
from bench.rounds import Effort
from bench.sidecar import until
from router.programs import ensure
from router.proxy import Router
from router.redis_server import RedisServer, route
from router.upstream import Upstream

ROUTERS: Final = 3
ROUTES: Final = 10_000
FIRST: Final = 10_000
CHANGES: Final = 200
SOCKETS: Final = 100
AWAY_S: Final = 60.0
ASKED_PER_S: Final = 50
PATIENCE_S: Final = 20.0


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return what P9 asks for."""
    del effort
    ensure()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(_redis(folder))
        one, two = [await stack.enter_async_context(_upstream(name)) for name in ("one", "two")]
        await _fill(redis, one.address)
        routers = [await stack.enter_async_context(_router(redis)) for _ in range(ROUTERS)]
        sockets = await _opened(routers)
        workers = [router.workers() for router in routers]
        taken_ms = [
            await _followed_ms(redis, routers, FIRST + number, (two, one)[number % 2], number)
            for number in range(CHANGES)
        ]
        redis.kill()
        failed = await _failures(routers)
        dropped = await _dropped(sockets)
        reloads = sum(old != router.workers() for old, router in zip(workers, routers, strict=True))
    return _findings(taken_ms, failed=failed, dropped=dropped, reloads=reloads)


@asynccontextmanager
async def _redis(folder: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def _upstream(name: str) -> AsyncIterator[Upstream]:
    stub = await Upstream(name).start()
    try:
        yield stub
    finally:
        await stub.close()


@asynccontextmanager
async def _router(redis: RedisServer) -> AsyncIterator[Router]:
    router = Router(REDIS_URL=redis.url, WORKERS=1)
    try:
        await router.start()
        await until(router.ready)
        yield router
    finally:
        await router.close()


async def _fill(redis: RedisServer, address: str) -> None:
    text = json.dumps(route(address))
    pairs = [part for number in range(ROUTES) for part in (str(FIRST + number), text)]
    await redis.client.hset("mt5:routes", items=pairs)
    await redis.complete()


async def _opened(routers: Sequence[Router]) -> list[aiohttp.ClientWebSocketResponse]:
    sockets = []
    for number in range(SOCKETS):
        router = routers[number % ROUTERS]
        # Accounts whose route changes, and whose socket stays where it is all the same.
        socket = await router.session.ws_connect(f"{router.url}/accounts/{FIRST + number}/ws")
        await socket.receive_str(timeout=PATIENCE_S)
        sockets.append(socket)
    return sockets


async def _followed_ms(
    redis: RedisServer, routers: Sequence[Router], account: int, target: Upstream, number: int
) -> float:
    began_s = time.perf_counter()
    await redis.put(str(account), target.address, epoch=number + 2)
    await asyncio.gather(*(_follows(router, account, target.name) for router in routers))
    return (time.perf_counter() - began_s) * 1000


async def _follows(router: Router, account: int, name: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await _answered_by(router, account) != name:
            await asyncio.sleep(0.001)


async def _answered_by(router: Router, account: int) -> str:
    answer = await router.ask(f"/accounts/{account}/api/x")
    return str(answer.json["stub"]) if answer.status == 200 else ""


async def _failures(routers: Sequence[Router]) -> int:
    """Return how many requests for known routes fail in a minute without Redis."""
    failed, began_s = 0, time.perf_counter()
    for number in range(int(AWAY_S * ASKED_PER_S)):
        await asyncio.sleep(max(0.0, began_s + number / ASKED_PER_S - time.perf_counter()))
        failed += not await _answered_by(routers[number % ROUTERS], FIRST + number % ROUTES)
    return failed


async def _dropped(sockets: Sequence[aiohttp.ClientWebSocketResponse]) -> int:
    dropped = 0
    for socket in sockets:
        try:
            await socket.send_str("still there?")
            await socket.receive_str(timeout=PATIENCE_S)
        except (aiohttp.ClientError, ConnectionError, TypeError, TimeoutError):
            dropped += 1
        await socket.close()
    return dropped


def _none_of(what: str, count: int, *, beside: str = "") -> Finding:
    return Finding(
        target_id="P9", what=what, value=count, unit="", sense="<=", target=0.0, beside=beside
    )


def _findings(
    taken_ms: Sequence[float], *, failed: int, dropped: int, reloads: int
) -> list[Finding]:
    what = f"route written in Redis, until the last of {ROUTERS} routers follows"
    return [
        Finding(
            target_id="P9",
            what=f"{what}, p99",
            value=percentile(taken_ms, 99),
            unit="ms",
            sense="<=",
            target=1000.0,
            beside=f"p50 {percentile(taken_ms, 50):.1f} ms; {CHANGES} changes, {ROUTES:,} routes",
        ),
        _none_of("nginx reloads", reloads),
        _none_of("sockets dropped", dropped, beside=f"of {SOCKETS}"),
        _none_of(
            f"Redis away {AWAY_S:.0f} s: failed requests of known routes",
            failed,
            beside=f"of {AWAY_S * ASKED_PER_S:,.0f}",
        ),
    ]
