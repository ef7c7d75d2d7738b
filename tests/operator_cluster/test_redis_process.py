# SPDX-License-Identifier: Apache-2.0
"""What tests that take Redis away count on, while others look at it."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from redis.exceptions import RedisError

from operator_cluster.redis_process import running_redis

pytestmark = pytest.mark.service

TIMES = 20


def test_who_reads_beside_is_told_of_a_redis_that_was_taken_away_by_an_error_of_redis() -> None:
    over, reads, faults = threading.Event(), 0, list[Exception]()
    with running_redis() as redis:

        def read() -> None:
            nonlocal reads
            try:
                while not over.is_set():
                    with suppress(RedisError, OSError):
                        redis.routes()
                        reads += 1
            except Exception as fault:  # noqa: BLE001 - told by the thread that waits
                faults.append(fault)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(TIMES):
                redis.stop()
                redis.start()
        finally:
            over.set()
            reader.join(20)

    assert faults == []
    assert reads > 0
