# SPDX-License-Identifier: Apache-2.0
"""The route table in Redis, in the form that docs/internals.md promises to routers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from mt5_operator import metrics
from mt5_operator.errors import RouteStoreUnavailable
from mt5_operator.routes.route import Route, parse, text

HASH: Final = "mt5:routes"
STREAM: Final = "mt5:routes:changes"
MARKER: Final = "mt5:routes:complete"
# Promised to routers (docs/internals.md).
STREAM_LENGTH: Final = 10_000
# A transaction of so many; between two, Redis answers others.
_BATCH: Final = 500

T = TypeVar("T")


class _PasswordFile(CredentialProvider):
    """Reads the password for each new connection, so that a changed Secret needs no restart."""

    def __init__(self, user: str, file: Path) -> None:
        self._user = user
        self._file = file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._file.read_text().strip()
        return (self._user, password) if self._user else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


def _access(
    url: str, password_file: Path | None, ca_file: Path | None
) -> tuple[str, dict[str, Any]]:
    parts = urlsplit(url)
    options: dict[str, Any] = {}
    if ca_file and parts.scheme == "rediss":
        options["ssl_ca_certs"] = str(ca_file)
    if password_file:
        options["credential_provider"] = _PasswordFile(parts.username or "", password_file)
        # redis-py takes a user from the address or from the provider, not from both.
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url, options


class RedisStore:
    """Reads and writes of the table.

    Raises (all methods):
        RouteStoreUnavailable: Redis did not answer in time.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        shard: int = 0,
        shards: int = 1,
        password_file: Path | None = None,
        ca_file: Path | None = None,
    ) -> None:
        address, options = _access(url, password_file, ca_file)
        self._redis = Redis.from_url(
            address,
            **options,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            decode_responses=True,
            # Once more, for a connection that died idle; more would keep reconciles waiting.
            retry=Retry(NoBackoff(), 1),
        )

        # The table is complete when every shard's part is.
        self._ours = _part(shard)
        self._parts = [_part(number) for number in range(shards)] if shards > 1 else []

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def installation(self, ours: str = "") -> str | None:
        """Return whose complete table is there; None if it may be incomplete.

        With several shards, complete is said of the part of our shard.
        """
        whole = _whose(await self._marker(MARKER))
        if not self._parts or whole not in (None, ours):
            return whole
        part = _whose(await self._marker(self._ours))
        if whole is None and part is not None:
            await self._complete_if_all_are(part)
        return part

    async def _marker(self, key: str) -> str | None:
        return await _bounded(lambda: cast("Awaitable[str | None]", self._redis.get(key)))

    async def load(self) -> dict[str, Route | None]:
        """Return the table as it is; None for what we could not have written."""
        found = await _bounded(lambda: cast("Awaitable[dict[str, str]]", self._redis.hgetall(HASH)))
        return {account_id: parse(value) for account_id, value in found.items()}

    async def put(self, routes: Mapping[str, Route]) -> None:
        """Write routes, each together with its change and its plain key."""
        for batch in _batches(list(routes.items())):
            await self._write(batch, _put)

    async def remove(self, account_ids: Iterable[str]) -> None:
        """Remove routes."""
        for batch in _batches([(account_id, None) for account_id in account_ids]):
            await self._write(batch, _remove)

    async def complete(self, *, installation: str, count: int, now: str) -> None:
        """Say that the table is complete; the last thing after a full write."""
        marker = {"installation": installation, "count": count, "written_at": now}
        if not self._parts:
            await _bounded(lambda: self._redis.set(MARKER, json.dumps(marker)))
            return
        await _bounded(lambda: self._redis.set(self._ours, json.dumps(marker)))
        await self._complete_if_all_are(installation)

    async def _complete_if_all_are(self, installation: str) -> None:
        found = [await self._marker(part) for part in self._parts]
        if {_whose(part) for part in found} != {installation}:
            return  # who is last says so
        count = await _bounded(lambda: self._redis.hlen(HASH))
        marker = json.loads(found[0] or "{}") | {"count": count}
        await _bounded(lambda: self._redis.set(MARKER, json.dumps(marker)))

    async def _write(self, batch: list[tuple[str, Any]], add: Callable[..., None]) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            for account_id, route in batch:
                add(pipe, account_id, route)
            try:
                await _bounded(pipe.execute)
            except RouteStoreUnavailable:
                metrics.ROUTE_WRITES.labels("redis", "failed").inc(len(batch))
                raise
        metrics.ROUTE_WRITES.labels("redis", "written").inc(len(batch))


def _part(number: int) -> str:
    return f"{MARKER}:{number}"


def _whose(marker: str | None) -> str | None:
    try:
        return str(json.loads(marker)["installation"]) if marker else None
    except (ValueError, KeyError, TypeError):
        return None


def plain_key(account_id: str) -> str:
    """Return the key of the older registry, which holds `host:port`."""
    return f"account:{account_id}:container"


def _put(pipe: Pipeline, account_id: str, route: Route) -> None:
    value = text(route)
    pipe.hset(HASH, account_id, value)
    change: Any = {"op": "set", "id": account_id, "route": value}
    pipe.xadd(STREAM, change, maxlen=STREAM_LENGTH, approximate=True)
    if route.address:
        pipe.set(plain_key(account_id), route.address)
    else:
        pipe.delete(plain_key(account_id))


def _remove(pipe: Pipeline, account_id: str, _: None) -> None:
    pipe.hdel(HASH, account_id)
    change: Any = {"op": "del", "id": account_id, "route": ""}
    pipe.xadd(STREAM, change, maxlen=STREAM_LENGTH, approximate=True)
    pipe.delete(plain_key(account_id))


def _batches(items: list[tuple[str, Any]]) -> Iterable[list[tuple[str, Any]]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


async def _bounded(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except (RedisError, OSError, TimeoutError) as error:
        raise RouteStoreUnavailable(str(error) or type(error).__name__) from error
