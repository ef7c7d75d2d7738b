# SPDX-License-Identifier: Apache-2.0
"""A real redis-server on loopback, and the operator's side of the route table in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.contained import DIES_WITH_US
from cluster.ports import free_port
from router.programs import end, ensure
from router.waiting import STARTS_S, until

INSTALLATION = "11111111-1111-4111-8111-111111111111"


def route(address: str = "", **more: Any) -> dict[str, Any]:
    """Return a route as docs/internals.md describes it."""
    return {
        "address": address,
        "slot": "a",
        "epoch": 1,
        "uid": "u",
        "reason": "",
        "message": "",
    } | more


class RedisServer:
    """One redis-server; may be killed and started again on the same port."""

    def __init__(self, directory: Path, *, password: str = "") -> None:
        ensure()
        self.port = free_port()
        self._directory = directory
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.client = Redis(port=self.port, password=password or None, decode_responses=True)

    @property
    def url(self) -> str:
        """Return the address without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start, empty."""
        self._process = self._launch()
        await until(self._answers, what="Redis to answer", timeout_s=STARTS_S)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = f'port {self.port}\nbind 127.0.0.1\nsave ""\ndir {self._directory}\n'
        if self._password:
            settings += f"requirepass {self._password}\n"
        process = subprocess.Popen(
            [*DIES_WITH_US, "redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert process.stdin is not None
        process.stdin.write(settings.encode())
        process.stdin.close()
        return process

    async def _answers(self) -> bool:
        try:
            return bool(await self.client.ping())
        except (RedisError, OSError):
            return False

    def kill(self) -> None:
        """Kill it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    async def close(self) -> None:
        """End server and client."""
        await self.client.aclose()
        if self._process is not None:
            if self._process.poll() is None:
                self.thaw()
            end(self._process)

    async def put(self, account: str, address: str = "", **more: Any) -> None:
        """Write a route and tell its change, as the operator does."""
        text = json.dumps(route(address, **more))
        async with self.client.pipeline(transaction=True) as pipe:
            pipe.hset("mt5:routes", account, text)
            pipe.xadd("mt5:routes:changes", {"op": "set", "id": account, "route": text})
            await pipe.execute()

    async def remove(self, account: str) -> None:
        """Remove a route and tell its change."""
        async with self.client.pipeline(transaction=True) as pipe:
            pipe.hdel("mt5:routes", account)
            pipe.xadd("mt5:routes:changes", {"op": "del", "id": account, "route": ""})
            await pipe.execute()

    async def complete(self, installation: str = INSTALLATION) -> None:
        """Say that the table is complete."""
        count = await self.client.hlen("mt5:routes")
        marker = {"installation": installation, "count": count, "written_at": "now"}
        await self.client.set("mt5:routes:complete", json.dumps(marker))
