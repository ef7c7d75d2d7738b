# SPDX-License-Identifier: Apache-2.0
"""What a leader does beside reconciling: look at keys and stores, write shards, resync."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from mt5_operator import metrics
from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.errors import ApiError, ApiUnavailable
from mt5_operator.names import Key
from mt5_operator.reconcile import access
from mt5_operator.reconcile.accounts import holds
from mt5_operator.reconcile.accounts.line import move_on, presume
from mt5_operator.reconcile.brokers import brokers
from mt5_operator.reconcile.capacity import keep_warm
from mt5_operator.reconcile.context import Context
from mt5_operator.reconcile.feed.broker_feed import UNKNOWN_SERVERS
from mt5_operator.reconcile.hurry import hurry
from mt5_operator.reconcile.worker import Backoff, work

# No settings: neither costs a request. The first only says how evenly the Secrets that are due are
# read (`secret_reread_s` says when they are), the second is shorter than any scrape.
_REREAD_LOOK_S: Final = 1
_COUNT_S: Final = 5
_log = structlog.get_logger()


async def lead(context: Context) -> None:
    """Lead until cancelled.

    Raises:
        ApiError, ApiUnavailable: the table could not be loaded at the start.
    """
    settings = context.world.settings
    await context.table.load()
    # Before any account is looked at: Redis holds what the leader before us wrote last.
    await context.table.check()
    await access.look_at_keys(context)
    await holds.look(context)
    accounts = context.world.caches[ACCOUNT]
    # Another shard's moves are its own: it alone would tell us of their end.
    context.fleet.recall(account for key in context.world.ours() if (account := accounts.get(key)))
    presume(context)
    resync(context)
    backoff = Backoff(settings)
    async with asyncio.TaskGroup() as group:
        for _ in range(settings.workers):
            group.create_task(work(context, backoff))
        group.create_task(context.watcher.run())
        group.create_task(_flush(context))
        group.create_task(hurry(context))
        group.create_task(_every(settings.keys_poll_s, lambda: access.look_at_keys(context)))
        group.create_task(_every(settings.redis_check_s, lambda: _check(context)))
        group.create_task(_every(settings.route_compare_s, context.table.compare))
        group.create_task(_every(settings.resync_s, lambda: holds.look(context)))
        group.create_task(_every(settings.resync_s, lambda: _resync(context)))
        group.create_task(_every(_REREAD_LOOK_S, context.secrets.reread))
        group.create_task(_every(_COUNT_S, lambda: _count(context)))
        group.create_task(_every(settings.capacity_look_s, lambda: keep_warm(context)))
        group.create_task(_every(settings.admission_look_s, lambda: move_on(context)))


def resync(context: Context) -> None:
    """Make every account, every namespace and every broker due."""
    queue, index = context.world.queue, context.world.index
    queue.add(UNKNOWN_SERVERS)
    for name in context.world.directory.names():
        queue.add(Key("", name))
    for namespace in index.namespaces():
        queue.add(Key(namespace, ""))
    # Who changed meanwhile does not wait for thousands who did not.
    for key in context.world.ours():
        queue.add_patient(key)


async def _resync(context: Context) -> None:
    resync(context)


async def _check(context: Context) -> None:
    before = context.table.foreign
    await context.table.check()
    if context.table.down:
        context.healer.disturbed()
    if context.table.foreign != before:
        resync(context)  # every account's RouteReady says it


async def _flush(context: Context) -> None:
    while True:
        await context.table.changed.wait()
        # Many accounts change at once; their shards are written once.
        await asyncio.sleep(context.world.settings.route_flush_s)
        try:
            await context.table.flush()
        except (ApiError, ApiUnavailable) as error:
            _log.warning("route shards not written", error=str(error))
            await asyncio.sleep(context.world.settings.route_retry_s)


async def _count(context: Context) -> None:
    brokers.count(context)
    metrics.BROKER_OUTAGES.set(len(context.healer.outages()))
    metrics.HEALING_QUIET.set(context.healer.quiet)
    metrics.HEALING_WAITING.set(context.healer.waiting)
    namespaces, everybody = context.fleet.pauses()
    metrics.UPDATES_PAUSED.labels("namespace").set(namespaces)
    metrics.UPDATES_PAUSED.labels("fleet").set(everybody)
    resizes, again_s = context.resizes, context.world.settings.resize_silent_node_s
    metrics.RESIZES_WAITING.set(resizes.waiting)
    metrics.RESIZE_SILENT_NODES.set(resizes.silent(again_s=again_s))
    metrics.ACCOUNTS.clear()
    for reason, number in Counter(filter(None, context.reasons.values())).items():
        metrics.ACCOUNTS.labels(reason).set(number)


async def _every(period_s: float, look: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await look()
        except (ApiError, ApiUnavailable) as error:
            _log.warning("look failed", error=str(error))
        await asyncio.sleep(period_s)
