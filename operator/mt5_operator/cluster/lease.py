# SPDX-License-Identifier: Apache-2.0
"""Who leads: the official client's election over our own API port.

Its own Lease lock lets a refused connection end the election, has no timeout, and does not give
the Lease back; this one answers "no" instead, is bounded by the port's timeout, and releases.
A watchdog ends a leader whose Lease ran out while a try, or the whole process, hung.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import LEASE
from mt5_operator.cluster.watchdog import Watchdog
from mt5_operator.errors import ApiError, ApiUnavailable, LeaseLost
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest


class ApiLock(BaseLock):
    """The Lease, reached through our port."""

    def __init__(
        self,
        api: Api,
        key: Key,
        identity: str,
        *,
        timeout_s: float,
        watchdog: Watchdog,
        unanswered: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(key.name, key.namespace, identity)
        self._api = api
        self._unanswered = unanswered
        self._watchdog = watchdog
        self._timeout_s = timeout_s
        self._key = key
        self._lease: Manifest = {}

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        """Return the record of who leads, or the error in the form that the election knows."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self._lease = await self._api.get(LEASE, Key(namespace, name))
        except ApiError as error:
            return False, _as_theirs(error.status, error.message)
        except (ApiUnavailable, TimeoutError) as error:
            self._unanswered()
            return False, _as_theirs(503, str(error))
        record = _record(self._lease.get("spec", {}))
        if record.holder_identity not in (None, self.identity):
            self._watchdog.held_by_another()
        return True, record

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """Create the Lease with us as its holder."""
        meta = {"name": name, "namespace": namespace}
        return await self._write(self._api.create, meta, election_record)

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        """Renew or take the Lease; False if somebody was faster."""
        version = self._lease["metadata"]["resourceVersion"]
        meta = {"name": name, "namespace": namespace, "resourceVersion": version}
        return await self._write(self._api.replace, meta, updated_record)

    async def release(self) -> None:
        """Give the Lease back, if it is ours, so that the next leader need not wait."""
        found, record = await self.get(self.name, self.namespace)
        if found and record.holder_identity == self.identity:
            record.holder_identity = ""
            await self.update(self.name, self.namespace, record)

    async def _write(
        self, write: Callable[..., Awaitable[Manifest]], meta: Manifest, record: Any
    ) -> bool:
        asked_at = self._watchdog.now()
        try:
            async with asyncio.timeout(self._timeout_s):
                self._lease = await write(LEASE, {"metadata": meta, "spec": _spec(record)})
        except ApiError:
            return False
        except (ApiUnavailable, TimeoutError):
            self._unanswered()
            return False
        if record.holder_identity == self.identity:
            self._watchdog.renewed(asked_at)
        else:
            self._watchdog.released()
        return True


async def lead(lock: ApiLock, settings: Settings, work: Callable[[], Awaitable[None]]) -> None:
    """Wait for the Lease, then do `work` until it ends or the Lease is lost.

    Raises:
        LeaseLost: another replica may lead by now.
    """
    working: list[asyncio.Task[Any]] = []

    async def led() -> None:
        task = asyncio.ensure_future(work())
        working.append(task)
        await asyncio.wait({task})  # an error is raised below, not lost in the election's task
        election.cancel()

    election = asyncio.create_task(LeaderElection(_config(lock, settings, led)).run())
    try:
        await asyncio.wait({election})
    finally:
        for task in (election, *working):
            task.cancel()
        results = await asyncio.gather(election, *working, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    raise LeaseLost("the Lease was not renewed in time")


async def _nothing() -> None:
    """Stand in for what the election calls at its end; the end itself is told by an error."""


def _config(lock: ApiLock, settings: Settings, led: Callable[[], Any]) -> Config:
    return Config(
        lock,
        lease_duration=settings.lease_duration_s,
        renew_deadline=settings.lease_renew_deadline_s,
        retry_period=settings.lease_retry_s,
        onstarted_leading=led,
        onstopped_leading=_nothing,
    )


def _as_theirs(status: int, message: str) -> Any:
    error = ApiException(status=status, reason=message)
    error.body = json.dumps({"code": status})
    return error


def _record(spec: Manifest) -> Any:
    held = spec.get("holderIdentity") or None
    duration = str(spec.get("leaseDurationSeconds", 0)) if held else None
    return LeaderElectionRecord(held, duration, spec.get("acquireTime"), spec.get("renewTime"))


def _spec(record: Any) -> Manifest:
    return {
        "holderIdentity": record.holder_identity or "",
        "leaseDurationSeconds": max(1, int(record.lease_duration)),
        "acquireTime": _micro_time(record.acquire_time),
        "renewTime": _micro_time(record.renew_time),
    }


def _micro_time(text: str) -> str:
    # The election writes naive local times ("2026-11-21 10:00:00.123"); what it read is kept.
    if text.endswith("Z"):
        return text
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
