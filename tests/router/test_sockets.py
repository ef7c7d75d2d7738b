# SPDX-License-Identifier: Apache-2.0
"""Many sockets that say nothing for long."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from cluster.paths import REPOSITORY
from cluster.waiting import patience_s
from mt5_sidecar.settings_model import Settings
from router.conftest import MakeRouter
from router.proxy import Router
from router.redis_server import RedisServer
from router.upstream import Upstream
from router.waiting import until

# A real sidecar: its heartbeats are what is relied on. Not a package, for its folder's name.
sys.path.insert(0, str(REPOSITORY / "tests/mt5_sidecar/support"))

from sidecar_rig import KEY, Rig

pytestmark = pytest.mark.service

# Two connections each at the router: above the 4,096 that one worker was once asked for, and far
# above the 1,024 files that a process may open at first.
SOCKETS: Final = 2100
FILES_AT_FIRST: Final = 1024
IDLE_S: Final = 1
UPGRADE: Final = (
    b"GET /ws/account/10001 HTTP/1.1\r\nHost: router\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture
def many_files() -> Iterator[int]:
    """Let this process, which is client and sidecar at once, open as many files as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return a real sidecar with a connected account and hurried heartbeats."""
    hurried = {"ws_heartbeat_interval_s": IDLE_S / 4, "file_poll_interval_s": IDLE_S / 10}
    rig = Rig(tmp_path / "sidecar", **hurried)
    await rig.start()
    await rig.connected()
    yield rig
    await rig.stop()


async def _serving(make: MakeRouter, redis: RedisServer, address: str, **settings: Any) -> Router:
    await redis.put("10001", address)
    await redis.complete()
    router = await make(REDIS_URL=redis.url, **settings)
    await until(router.ready, what="the router to be ready")
    return router


async def test_one_worker_holds_thousands_of_idle_sockets(
    many_files: int, make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    assert many_files >= 3 * SOCKETS, "this test needs more open files: raise `ulimit -Hn`"
    router = await _serving(
        make_router,
        redis,
        upstream.address,
        WORKERS=1,
        CLIENT_REQUEST_BURST=2 * SOCKETS,  # one client opens them all, as fast as it can
        open_files=(FILES_AT_FIRST, many_files),
    )
    port = router.port

    async with AsyncExitStack() as open_sockets:
        sockets = [await _opened(port, open_sockets) for _ in range(SOCKETS)]

        assert _files(*router.workers()) > 2 * SOCKETS
        for reader, writer in (sockets[0], sockets[-1]):
            writer.write(b"\x81\x82\0\0\0\0hi")  # a masked text frame
            assert (await _frame(reader)) == b"echo hi"
        assert (await router.ask("/accounts/10001/api/x")).status == 200
    assert "few-open-files" not in router.errors()


async def test_a_limit_that_is_too_low_for_its_connections_is_told(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    router = await _serving(make_router, redis, upstream.address, open_files=(512, 512))

    told = [json.loads(line) for line in router.errors().splitlines() if "few-open-files" in line]
    assert len(told) == 1
    assert "512 files may be open" in told[0]["message"]


async def test_heartbeats_keep_a_socket_open_past_the_routers_idle_time(
    make_router: MakeRouter, redis: RedisServer, sidecar: Rig
) -> None:
    address = f"127.0.0.1:{sidecar.sidecar.api_port}"
    router = await _serving(make_router, redis, address, SOCKET_IDLE_TIMEOUT_S=IDLE_S)
    url, headers = f"{router.url}/ws/account/10001?channels=", {"X-API-Key": KEY}

    async with router.session.ws_connect(url, headers=headers) as socket:
        began = time.monotonic()
        heard = []
        while time.monotonic() - began < 3 * IDLE_S:
            heard.append((await socket.receive_json(timeout=patience_s(5)))["type"])

        assert heard[:2] == ["welcome", "snapshot"]
        assert set(heard[2:]) == {"heartbeat"}  # nothing else kept it open


async def test_without_a_heartbeat_the_router_closes_an_idle_socket(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    router = await _serving(make_router, redis, upstream.address, SOCKET_IDLE_TIMEOUT_S=IDLE_S)

    async with router.session.ws_connect(f"{router.url}/ws/account/10001") as socket:
        await socket.receive_str()
        ended = await socket.receive(timeout=patience_s(10))

    assert ended.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


def test_the_sidecars_heartbeat_comes_well_within_the_routers_idle_time() -> None:
    script = (REPOSITORY / "images/router/entrypoint.sh").read_text()
    (line,) = [one for one in script.splitlines() if one.startswith("number SOCKET_IDLE_TIMEOUT_S")]
    heartbeat_s = Settings.model_fields["ws_heartbeat_interval_s"].default

    assert heartbeat_s * 3 <= int(line.split()[-1])


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _opened(
    port: int, stack: AsyncExitStack
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    writer.write(UPGRADE)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), patience_s(10))
    assert head.startswith(b"HTTP/1.1 101"), head
    assert (await _frame(reader)).startswith(b"welcome")
    return reader, writer


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readexactly(2), patience_s(10))
    return await reader.readexactly(head[1] & 127)
