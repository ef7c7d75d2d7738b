# SPDX-License-Identifier: Apache-2.0
"""Take keys from the queue and reconcile them; come back later where that failed."""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from mt5_operator import metrics
from mt5_operator.errors import ApiError, ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile import access
from mt5_operator.reconcile.accounts.account import reconcile
from mt5_operator.reconcile.brokers import brokers
from mt5_operator.reconcile.context import Context
from mt5_operator.settings import Settings

_log = structlog.get_logger()


class Backoff:
    """How long to wait after a key failed again."""

    def __init__(self, settings: Settings) -> None:
        self._min_s = settings.backoff_min_s
        self._max_s = settings.backoff_max_s
        self._failures: dict[Key, int] = {}

    def next_s(self, key: Key) -> float:
        """Return the pause after one more failure, in seconds: twice the last, with jitter."""
        failures = self._failures.get(key, 0)
        self._failures[key] = min(failures + 1, 30)
        pause: float = min(self._max_s, self._min_s * 2**failures)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing

    def reset(self, key: Key) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)


async def work(context: Context, backoff: Backoff) -> None:
    """Reconcile for ever."""
    queue = context.world.queue
    while True:
        key = await queue.get()
        metrics.QUEUE_DEPTH.set(len(queue))
        try:
            await once(context, backoff, key)
        finally:
            queue.done(key)
        # What finds nothing to do waits for nothing: a resync of thousands would let nobody else
        # run, neither the Lease's renewal nor a probe, until its end.
        await asyncio.sleep(0)


async def once(context: Context, backoff: Backoff, key: Key) -> None:
    """Reconcile one key, whatever may come of it."""
    started = time.perf_counter()
    try:
        again_s = await _reconciled(context, key)
    except (ApiError, ApiUnavailable) as error:
        _failed(context, backoff, key, error)
    except Exception as error:  # noqa: BLE001 - one account's surprise must not stop the others
        _log.exception("reconcile failed unexpectedly", object=str(key))
        _failed(context, backoff, key, error)
    else:
        metrics.RECONCILES.labels("done").inc()
        backoff.reset(key)
        if again_s is not None:
            context.world.queue.add(key, after_s=again_s)
    metrics.RECONCILE_SECONDS.observe(time.perf_counter() - started)


async def _reconciled(context: Context, key: Key) -> float | None:
    # Brokers have no namespace: one shard, the first, reviews them.
    if not context.world.owns(key.namespace):
        return None  # another shard's, and only its: nothing here may write
    if not key.namespace:
        return await brokers.reconcile(context, key)
    if not key.name:
        await access.publish(context, key.namespace)
        return None
    return await reconcile(context, key)


def _failed(context: Context, backoff: Backoff, key: Key, error: Exception) -> None:
    # What is gone by now was deleted while we worked: its event is on the way. Whether the API
    # server is away for all of us is told by Lease and audits: a webhook that fails for one
    # namespace must not end the healing of the others.
    result = "gone" if isinstance(error, NotFound) else "failed"
    metrics.RECONCILES.labels(result).inc()
    pause_s = backoff.next_s(key)
    _log.warning(
        "reconcile failed", object=str(key), error=str(error), again_in_s=round(pause_s, 1)
    )
    context.world.queue.add(key, after_s=pause_s)
