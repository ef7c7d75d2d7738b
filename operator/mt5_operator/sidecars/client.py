# SPDX-License-Identifier: Apache-2.0
"""Ask one sidecar how its terminal is, and tell it whether it trades.

An answer is checked: another pod's tells nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

import aiohttp
import msgspec

from mt5_operator import names
from mt5_operator.brokers.evidence import Evidence
from mt5_operator.errors import SidecarUnreachable
from mt5_operator.status.seen import OrdersSeen, SidecarSeen

_ORDERS: Final = "/internal/orders"
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """One pod, at one address."""

    uid: str
    ip: str


class Sidecars(Protocol):
    """Where sidecars are asked, and told.

    Raises (all methods):
        SidecarUnreachable: it did not answer, or not in our words; what it did is unknown.
    """

    async def state(self, target: Target) -> SidecarSeen:
        """Return what the sidecar of `target` says."""

    async def fence(self, target: Target) -> OrdersSeen:
        """Make `target` trade no more; return when its last trade is on disk."""

    async def hand_over(self, source: Target, target: Target) -> None:
        """Give the keys of `source`, which is fenced, to `target`, which does not trade yet."""

    async def activate(self, target: Target, epoch: int) -> OrdersSeen:
        """Make `target` trade."""


class _State(msgspec.Struct):
    state: str
    reason: str = ""
    message: str = ""
    credentials: str = "Unknown"
    pod_uid: str = ""
    trade_allowed: bool | None = None
    trade_message: str = ""
    selftest: str = ""
    evidence: msgspec.Raw = msgspec.Raw(b"{}")
    orders: _Orders | msgspec.UnsetType | None = msgspec.UNSET
    """None: its journal cannot be used, and reads go on. Unset: a sidecar that has to be asked."""
    journal: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def journal_fault(self) -> str:
        if self.journal is not msgspec.UNSET:
            return self.journal
        # A sidecar of an earlier version does not say what it is.
        return "its log says why" if self.orders is None else ""


class _Orders(msgspec.Struct):
    epoch: int
    active: bool

    @property
    def seen(self) -> OrdersSeen:
        return OrdersSeen(self.epoch, self.active)


class HttpSidecars:
    """Sidecars over HTTP; use as an async context manager.

    `override` (host:port) takes the place of every pod's address, for pods that do not run.
    `order_timeout_s` is for what waits for a trade to end, or carries a journal. Whoever may make
    pods in a namespace may answer there: no more than `answer_max_bytes` of an answer are taken,
    and none leads elsewhere.
    """

    def __init__(
        self,
        token: Callable[[str], str],
        *,
        timeout_s: float,
        answer_max_bytes: int,
        order_timeout_s: float = 60,
        override: str = "",
    ) -> None:
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._order_timeout = aiohttp.ClientTimeout(total=order_timeout_s, sock_connect=timeout_s)
        self._override = override
        self._most = answer_max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpSidecars:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            # A few bytes can unpack to gigabytes.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def state(self, target: Target) -> SidecarSeen:
        """See `Sidecars`."""
        told = _decoded(await self._asked("GET", target, "/internal/state"), _State)
        if told.pod_uid and told.pod_uid != target.uid:
            raise SidecarUnreachable("another pod answers at the pod's address")
        seen = SidecarSeen(
            told.state,
            told.reason,
            told.message,
            told.credentials,
            no_trading=told.trade_message if told.trade_allowed is False else "",
            selftest=told.selftest,
            journal=told.journal_fault,
            evidence=_evidence(told.evidence),
            orders=told.orders.seen if isinstance(told.orders, _Orders) else None,
        )
        if told.orders is not msgspec.UNSET:
            return seen
        try:
            orders = await self._orders("GET", target, _ORDERS)
        except SidecarUnreachable:
            return seen  # its journal cannot be used: reads go on
        return replace(seen, orders=orders)

    async def fence(self, target: Target) -> OrdersSeen:
        """See `Sidecars`."""
        return await self._orders("POST", target, f"{_ORDERS}/fence", timeout=self._order_timeout)

    async def hand_over(self, source: Target, target: Target) -> None:
        """See `Sidecars`. Neither the operator's memory nor its disk ever holds a journal."""
        path, timeout = f"{_ORDERS}/journal", self._order_timeout
        async with self._request("GET", source, path, timeout=timeout) as journal:
            body = journal.content
            async with self._request("PUT", target, path, timeout=timeout, data=body) as answer:
                await _beginning(answer, self._most)

    async def activate(self, target: Target, epoch: int) -> OrdersSeen:
        """See `Sidecars`."""
        path, body = f"{_ORDERS}/activate", {"epoch": epoch}
        return await self._orders("POST", target, path, timeout=self._order_timeout, json=body)

    async def _orders(self, method: str, target: Target, path: str, **rest: Any) -> OrdersSeen:
        return _decoded(await self._asked(method, target, path, **rest), _Orders).seen

    async def _asked(self, method: str, target: Target, path: str, **rest: Any) -> bytes:
        async with self._request(method, target, path, **rest) as response:
            raw = await _beginning(response, self._most + 1)
        if len(raw) > self._most:
            raise SidecarUnreachable(f"the sidecar's answer has more than {self._most} bytes")
        return raw

    @asynccontextmanager
    async def _request(
        self, method: str, target: Target, path: str, **rest: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("HttpSidecars is used outside its context")
        headers = {"Authorization": f"Bearer {self._token(target.uid)}"}
        url = f"{self._base(target.ip)}{path}"
        try:
            async with self._session.request(
                method, url, headers=headers, allow_redirects=False, **rest
            ) as response:
                if response.status != 200:
                    raise SidecarUnreachable(await _refusal(response))
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or "no answer in time"
            raise SidecarUnreachable(f"the sidecar does not answer: {told}") from error

    def _base(self, ip: str) -> str:
        host = f"[{ip}]" if ":" in ip else ip
        return f"http://{self._override or f'{host}:{names.OPS_PORT}'}"


async def _beginning(response: aiohttp.ClientResponse, most: int) -> bytes:
    found = b""
    while len(found) < most and (more := await response.content.read(most - len(found))):
        found += more
    return found


async def _refusal(response: aiohttp.ClientResponse) -> str:
    raw = await _beginning(response, 4096)
    try:
        detail = str(msgspec.json.decode(raw).get("detail", ""))
    except (msgspec.DecodeError, AttributeError):
        detail = ""
    return f"the sidecar answers {response.status}{': ' if detail else ''}{detail[:200]}"


def _decoded(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise SidecarUnreachable(f"the sidecar's answer is not ours: {error}") from error


def _evidence(raw: msgspec.Raw) -> Evidence | None:
    # A sidecar of another version may count otherwise: it is heard all the same.
    try:
        told = msgspec.json.decode(raw, type=Evidence)
    except msgspec.DecodeError:
        return None
    return told if told.platform else None
