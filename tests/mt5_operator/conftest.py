# SPDX-License-Identifier: Apache-2.0
"""A real Redis, and the store that the operator writes to it with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mt5_operator.routes.redis_store import RedisStore
from operator_cluster.redis_process import RedisServer, running_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Return a running Redis of this test's own."""
    with running_redis() as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer) -> Any:
    """Return a store on it."""
    found = RedisStore(redis.url, timeout_s=1)
    yield found
    await found.close()
