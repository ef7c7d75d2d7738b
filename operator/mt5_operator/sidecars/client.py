# SPDX-License-Identifier: Apache-2.0
"""Ask one sidecar how its terminal is. An answer is checked: another pod's tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import msgspec

from mt5_operator import names
from mt5_operator.brokers.evidence import Evidence
from mt5_operator.errors import SidecarUnreachable
from mt5_operator.status.seen import SidecarSeen


@dataclass(frozen=True)
class Target:
    """One pod, at one address."""

    uid: str
    ip: str


class Sidecars(Protocol):
    """Where sidecars are asked."""

    async def state(self, target: Target) -> SidecarSeen:
        """Return what the sidecar of `target` says.

        Raises:
            SidecarUnreachable: it did not answer, or not in our words.
        """


class _State(msgspec.Struct):
    state: str
    reason: str = ""
    message: str = ""
    credentials: str = "Unknown"
    pod_uid: str = ""
    evidence: msgspec.Raw = msgspec.Raw(b"{}")


class HttpSidecars:
    """Sidecars over HTTP; use as an async context manager.

    `override` (host:port) takes the place of every pod's address, for pods that do not run.
    """

    def __init__(
        self, token: Callable[[str], str], *, timeout_s: float, override: str = ""
    ) -> None:
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._override = override
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpSidecars:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def state(self, target: Target) -> SidecarSeen:
        """See `Sidecars`."""
        raw = await self._get(target)
        try:
            told = msgspec.json.decode(raw, type=_State)
        except msgspec.DecodeError as error:
            raise SidecarUnreachable(f"the sidecar's answer is not ours: {error}") from error
        if told.pod_uid and told.pod_uid != target.uid:
            raise SidecarUnreachable("another pod answers at the pod's address")
        return SidecarSeen(
            told.state,
            told.reason,
            told.message,
            told.credentials,
            evidence=_evidence(told.evidence),
        )

    async def _get(self, target: Target) -> bytes:
        if self._session is None:
            raise RuntimeError("HttpSidecars is used outside its context")
        headers = {"Authorization": f"Bearer {self._token(target.uid)}"}
        try:
            async with self._session.get(self._url(target.ip), headers=headers) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or f"no answer in {self._timeout.total:g} s"
            raise SidecarUnreachable(f"the sidecar does not answer: {told}") from error
        if response.status != 200:
            raise SidecarUnreachable(f"the sidecar answers {response.status}")
        return raw

    def _url(self, ip: str) -> str:
        host = f"[{ip}]" if ":" in ip else ip
        return f"http://{self._override or f'{host}:{names.OPS_PORT}'}/internal/state"


def _evidence(raw: msgspec.Raw) -> Evidence | None:
    # A sidecar of another version may count otherwise: it is heard all the same.
    try:
        told = msgspec.json.decode(raw, type=Evidence)
    except msgspec.DecodeError:
        return None
    return told if told.platform else None
