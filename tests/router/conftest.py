# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a Redis, a router, stubs for sidecars; each test has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from router.proxy import Router
from router.redis_server import RedisServer
from router.upstream import Upstream
from router.waiting import until

MakeRouter = Callable[..., Awaitable[Router]]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """Return a running, empty Redis."""
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def make_router() -> AsyncIterator[MakeRouter]:
    """Return a function that starts a router with settings."""
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Router:
            router = Router(**settings)
            stack.push_async_callback(router.close)
            return await router.start()

        yield make


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """Return a stub of a sidecar."""
    stub = await Upstream("one").start()
    yield stub
    await stub.close()


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    """Return a second stub."""
    stub = await Upstream("two").start()
    yield stub
    await stub.close()


@pytest.fixture
async def router(redis: RedisServer, make_router: MakeRouter, upstream: Upstream) -> Router:
    """Return a ready router with two accounts: 10001 at `upstream`, 10002 without a terminal."""
    await redis.put("10001", upstream.address)
    await redis.put("10002", reason="NoCapacity", message="No node has room.")
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url)
    await until(router.ready, what="the router to be ready")
    return router
