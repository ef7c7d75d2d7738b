# SPDX-License-Identifier: Apache-2.0
"""Put the operator together, and take it down again. Knows every part and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog
from aiohttp import web

from mt5_operator import metrics
from mt5_operator.brokers.book import Book
from mt5_operator.cluster.api import Api, HttpApi
from mt5_operator.cluster.audit import Audit
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.credentials import load
from mt5_operator.cluster.events import Events
from mt5_operator.cluster.kinds import AROUND, OURS
from mt5_operator.cluster.known_fields import lacking
from mt5_operator.cluster.lease import ApiLock, lead
from mt5_operator.cluster.reflector import Reflector
from mt5_operator.cluster.served import Served
from mt5_operator.cluster.watchdog import Watchdog
from mt5_operator.ending import cancelled, cause, end_for_certain, ended, signalled
from mt5_operator.errors import ApiError, ApiUnavailable
from mt5_operator.moving.fleet import Fleet
from mt5_operator.names import Key, account_key
from mt5_operator.ops import create_app
from mt5_operator.reconcile import leading
from mt5_operator.reconcile.context import Context, World, seconds_text
from mt5_operator.reconcile.context.budgets import Budgets
from mt5_operator.reconcile.context.healer import Healer
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.context.refusals import Refusals
from mt5_operator.reconcile.context.secrets import Secrets
from mt5_operator.reconcile.feed import broker_feed, feed, gone
from mt5_operator.routes.redis_store import RedisStore
from mt5_operator.routes.shards import Shards, installation
from mt5_operator.routes.table import Table
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from mt5_operator.sharding import owns, suffix
from mt5_operator.sidecars.client import HttpSidecars
from mt5_operator.sidecars.identity import Identity, identity
from mt5_operator.sidecars.watcher import Watcher

_log = structlog.get_logger()


class Watch(Protocol):
    """What feeds the caches until it is stopped."""

    def __call__(
        self,
        world: World,
        relisted: Callable[[], None],
        *,
        stop: asyncio.Event,
        ready: asyncio.Event,
    ) -> Awaitable[None]:
        """Watch until `stop` is set."""


async def run(settings: Settings, watch: Watch) -> None:
    """Run the operator until it is told to stop.

    Raises:
        LeaseLost: another replica may lead by now.
    """
    async with HttpApi(
        await load(),
        timeout_s=settings.api_timeout_s,
        connections=settings.api_connections,
        page=settings.list_page,
    ) as api:
        await _Operator(settings, api, watch).run()


class _Operator:
    def __init__(self, settings: Settings, api: Api, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        caches, self._relisted = Caches(), asyncio.Event()
        ours = (lambda name: owns(settings, name)) if settings.shards > 1 else None
        index = Index(ours)
        queue = Schedule(limit=settings.workers, shared=index.shared)
        self._world = World(settings, api, caches, index, queue)
        self._audit = Audit(
            api,
            caches,
            settings,
            owns=self._world.owns,
            vanished=lambda kind, key: gone(self._world, kind, key),
        )
        self._watchdog = Watchdog(settings.lease_duration_s)
        self._lock = ApiLock(
            api,
            Key(settings.namespace, settings.lease_name + suffix(settings)),
            settings.pod_name,
            # Two tries fit into the time in which a leader must renew.
            timeout_s=settings.lease_renew_deadline_s / 2,
            watchdog=self._watchdog,
            unanswered=self._unanswered,
        )
        self._healer: Healer | None = None

    async def run(self) -> None:
        stop, ready, told = asyncio.Event(), asyncio.Event(), asyncio.Event()
        async with self._ops_server():
            await self._served()
            watch = asyncio.ensure_future(
                self._watch(self._world, self._relisted.set, stop=stop, ready=ready)
            )
            audits = self._audit.repeat(self._relisted, self._unanswered)
            ours = [signalled(ready, told), self._reflects(), audits, self._leads()]
            tasks = [watch, *map(asyncio.ensure_future, ours)]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                _log.info("stopping", causes=[cause(task) for task in tasks if task.done()])
            finally:
                # The Lease is given back meanwhile, in two requests.
                end_for_certain(self._settings.shutdown_timeout_s + 5)
                await cancelled(tasks[1:])
                await self._lock.release()
                stop.set()
                await ended(watch, timeout_s=self._settings.shutdown_timeout_s)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _served(self) -> None:
        """Wait until the API server tells of accounts and brokers: watches begin only then."""
        told, pause_s = "", self._settings.watch_retry_s
        while problem := await self._not_served():
            if problem != told:
                _log.warning("waiting for the API server and our CRDs", error=problem)
                pause_s = self._settings.watch_retry_s
            told = problem
            await asyncio.sleep(pause_s)
            # Each look lists every account: it may take until a person has applied a CRD.
            pause_s = min(2 * pause_s, self._settings.backoff_max_s)

    async def _not_served(self) -> str:
        api, served = self._world.api, Served(self._world.api, self._settings.namespaces)
        try:
            for kind in OURS:
                for refused in (await served.listed(kind)).refused.values():
                    raise refused  # which account ids are taken there would not be known
            for name, fields in (await lacking(api)).items():
                return f"the CRD of {name} is too old, apply it anew: it lacks {', '.join(fields)}"
        except (ApiError, ApiUnavailable) as error:
            return str(error)
        return ""

    async def _reflects(self) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in _reflectors(self._world, self._relisted.set):
                group.create_task(reflector.run())

    async def _leads(self) -> None:
        await self._audit.synced.wait()
        self._watchdog.start()
        _log.info("caches are warm", identity=self._lock.identity)
        await lead(self._lock, self._settings, self._work)

    async def _work(self) -> None:
        _log.info("leading", identity=self._lock.identity)
        metrics.IS_LEADER.set(1)
        try:
            # What the leader before us did last must be seen before anything is judged by it.
            await self._audit.caught_up()
            await self._lead_with(await self._identity())
        finally:
            metrics.IS_LEADER.set(0)

    async def _identity(self) -> Identity:
        api, namespace = self._world.api, self._settings.namespace
        return await identity(api, namespace, installation=partial(installation, api, namespace))

    async def _lead_with(self, who: Identity) -> None:
        settings, world = self._settings, self._world
        redis = _redis(settings)
        async with HttpSidecars(
            who.token,
            timeout_s=settings.sidecar_timeout_s,
            order_timeout_s=settings.sidecar_order_timeout_s,
            answer_max_bytes=settings.sidecar_answer_max_bytes,
            override=settings.sidecar_address_override,
        ) as sidecars:
            try:
                context = _context(world, who, redis, sidecars)
                self._healer = context.healer
                await leading.lead(context)
            finally:
                if redis:
                    await redis.close()

    def _unanswered(self) -> None:
        if self._healer:
            self._healer.disturbed()

    @contextlib.asynccontextmanager
    async def _ops_server(self) -> AsyncIterator[None]:
        runner = web.AppRunner(create_app(sick=self._sick, unready=self._unready), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.ops_host, self._settings.ops_port).start()
            yield
        finally:
            await runner.cleanup()

    def _sick(self) -> str:
        kinds = ", ".join(sorted(kind.name for kind in self._audit.stale))
        return f"the watch is silent: {kinds}" if kinds else ""

    def _unready(self) -> str:
        return "" if self._audit.synced.is_set() else "caches are not warm yet"


def _reflectors(world: World, relisted: Callable[[], None]) -> list[Reflector]:
    settings = world.settings
    return [
        Reflector(
            world.api, kind, namespace, settings, fed=partial(feed, world, kind), relisted=relisted
        )
        for kind in AROUND
        for namespace in (kind.namespaced and settings.namespaces) or [""]
    ]


def _context(
    world: World, who: Identity, redis: RedisStore | None, sidecars: HttpSidecars
) -> Context:
    settings, api, shared = world.settings, world.api, world.index.shared
    shards = Shards(
        api,
        namespace=settings.namespace,
        shards=settings.route_shards,
        installation=who.installation,
        shard=settings.shard,
        of=settings.shards,
    )
    table = Table(
        shards,
        redis,
        installation=who.installation,
        account_ids=world.index.account_ids,
        everyones=world.index.everyones_ids,
        now=lambda: seconds_text(world.now()),
    )
    book = Book()
    watcher = Watcher(
        sidecars,
        settings,
        changed=lambda pod: world.queue.add(account_key(pod)),
        heard=lambda pod, *look: broker_feed.hear(world, book, account_key(pod), *look),
        shared=shared,
    )
    events = Events(api, settings)
    refusals = Refusals(settings)
    fleet = Fleet(
        settings, now_s=lambda: world.now().timestamp(), due=world.queue.add, shared=shared
    )
    secrets = Secrets(api, settings, news=world.queue.add)
    budgets = Budgets(api, settings, now_s=time.monotonic)
    parts = (table, watcher, secrets, events, refusals, sidecars, fleet, budgets)
    return Context(world, who, *parts, healer=Healer(settings, shared=shared), book=book)


def _redis(settings: Settings) -> RedisStore | None:
    if settings.redis_url is None:
        return None
    return RedisStore(
        settings.redis_url.get_secret_value(),
        timeout_s=settings.redis_timeout_s,
        shard=settings.shard,
        shards=settings.shards,
        password_file=settings.redis_password_file,
        ca_file=settings.redis_ca_file,
    )
