# SPDX-License-Identifier: Apache-2.0
"""P8: the router against nginx that knows its upstream, and against one that asks Redis each time.

Router and references have one worker each on the server's core. Upstream, Redis and the load are
on the other core: what Redis itself costs is not counted against the reference.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from bench.account import ACCOUNT
from bench.cores import LOAD, SERVER, on
from bench.findings import Finding, compared
from bench.load import Subject
from bench.nginx import nginx
from bench.rounds import Effort, Samples, alternate
from bench.sidecar import until
from cluster.ports import free_port
from router.programs import ensure, redis_client
from router.proxy import Router
from router.redis_server import RedisServer

PATH = "/accounts/10001/api/account"


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return what P8 asks for."""
    ensure()
    folder.chmod(0o755)  # nginx's workers are nobody
    async with AsyncExitStack() as stack:
        port = free_port()
        await stack.enter_async_context(
            nginx(
                folder / "upstream",
                "upstream.conf.template",
                core=LOAD,
                asked=f"http://127.0.0.1:{port}/",
                UPSTREAM_PORT=port,
                BODY=msgspec.json.encode(msgspec.structs.asdict(ACCOUNT)).decode(),
            )
        )
        redis = await stack.enter_async_context(_redis(folder, upstream=f"127.0.0.1:{port}"))
        subjects = [
            await stack.enter_async_context(_router(redis)),
            *await stack.enter_async_context(_references(folder, redis.port, port)),
        ]
        return _findings(await alternate(subjects, effort))


@asynccontextmanager
async def _redis(folder: Path, *, upstream: str) -> AsyncIterator[RedisServer]:
    with on(LOAD):
        server = RedisServer(folder)
        await server.start()
    try:
        await server.put("10001", upstream)
        await server.complete()
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def _router(redis: RedisServer) -> AsyncIterator[Subject]:
    with on(SERVER):
        # The limit counts as it does for everybody, and is never met.
        router = Router(REDIS_URL=redis.url, WORKERS=1, CLIENT_REQUESTS_PER_S=1_000_000)
        await router.start()
    try:
        await until(router.ready)
        yield Subject(name="router", url=router.url + PATH, pids=router.workers())
    finally:
        await router.close()


@asynccontextmanager
async def _references(folder: Path, redis_port: int, port: int) -> AsyncIterator[list[Subject]]:
    lua = folder / "lua/nginx"
    lua.mkdir(parents=True)
    shutil.copy(redis_client(), lua / "redis.lua")
    ports = {"static": free_port(), "redis each time": free_port()}
    urls = {name: f"http://127.0.0.1:{own}{PATH}" for name, own in ports.items()}
    reference = nginx(
        folder / "reference",
        "nginx.conf.template",
        core=SERVER,
        asked=urls["redis each time"],
        LUA=lua.parent,
        UPSTREAM_PORT=port,
        STATIC_PORT=ports["static"],
        REDIS_FRONT_PORT=ports["redis each time"],
        REDIS_PORT=redis_port,
    )
    async with reference as pids:
        yield [Subject(name=name, url=url, pids=pids) for name, url in urls.items()]


def _findings(samples: Samples) -> list[Finding]:
    return [
        compared(
            samples,
            "router",
            "static",
            target_id="P8",
            what="router against nginx with a static upstream",
            target=0.75,
        ),
        compared(
            samples,
            "router",
            "redis each time",
            target_id="P8",
            what="router against a Redis GET for each request",
            target=1.5,
        ),
    ]
