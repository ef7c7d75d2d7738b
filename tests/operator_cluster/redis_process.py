# SPDX-License-Identifier: Apache-2.0
"""A real Redis that a test may stop, start and flush."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from cluster import packages
from cluster.contained import DIES_WITH_US
from cluster.ports import free_port
from cluster.waiting import wait_for


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Return a running Redis of this test's own."""
    packages.ensure(packages.REDIS)
    server = RedisServer()
    server.start()
    yield server
    server.stop()
    server.forget()


class RedisServer:
    """One redis-server process; it keeps nothing but what `client.save()` wrote into its folder."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="mt5-redis-")
        self.port = free_port()
        self.client = Redis(port=self.port, decode_responses=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return its address as the operator's settings want it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty or with what was saved."""
        argv = [
            *DIES_WITH_US,
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            self._folder.name,
        ]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        wait_for(self._answers, what="Redis to answer", timeout_s=60, interval_s=0.02)

    def stop(self) -> None:
        """End it, and forget all that was not saved.

        Its client finds out by itself: another thread may be amid a call.
        """
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Remove what was saved, and the client."""
        self.client.close()
        self._folder.cleanup()

    def routes(self) -> dict[str, Any]:
        """Return the table of routes."""
        found: Any = self.client.hgetall("mt5:routes")
        return {name: json.loads(value) for name, value in found.items()}

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except NoConnection:
            return False
