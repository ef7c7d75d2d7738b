# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API in a few verbs, over raw JSON.

The official client loads the credentials; its typed models cost more CPU per object than the
whole reconcile (docs/adr/011), so requests are made here.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import aiohttp
import msgspec

from mt5_operator import metrics, names
from mt5_operator.cluster.credentials import Credentials
from mt5_operator.cluster.kinds import POD, Kind
from mt5_operator.errors import ApiError, ApiUnavailable, Conflict, NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_JSON: Final = "application/json"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_LATER: Final = frozenset({429, 500, 502, 503, 504})
_ERRORS: Final[dict[int, type[ApiError]]] = {
    400: Refused,
    403: Refused,
    404: NotFound,
    405: Refused,
    409: Conflict,
    415: Refused,
    422: Refused,
}


class Api(Protocol):
    """What the operator does with the Kubernetes API.

    Raises (all methods):
        ApiError: the answer was a no.
        ApiUnavailable: there was no answer, or one that asks to come later.
    """

    async def apply(
        self, kind: Kind, manifest: Manifest, *, manager: str = names.MANAGER, part: str = ""
    ) -> Manifest:
        """Apply `manifest` on the server, taking over the fields that it names."""

    async def get(self, kind: Kind, key: Key) -> Manifest:
        """Return an object."""

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object that must not exist yet."""

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replace an object whose resourceVersion is the one in `manifest`."""

    async def merge(self, kind: Kind, key: Key, patch: Manifest, *, manager: str) -> Manifest:
        """Merge `patch` into an object that exists."""

    async def resize(self, key: Key, patch: Manifest) -> Manifest:
        """Change the resources of a pod that runs."""

    async def delete(self, kind: Kind, key: Key, *, uid: str) -> None:
        """Delete the object that has this uid; another one of the same name is left alone."""

    async def versions(self, kind: Kind, namespace: str = "") -> dict[Key, tuple[str, int]]:
        """Return uid and resourceVersion of all objects that we watch of a kind."""


class _Meta(msgspec.Struct):
    name: str
    uid: str
    resourceVersion: str  # noqa: N815 - Kubernetes' own name
    namespace: str = ""


class _Item(msgspec.Struct):
    metadata: _Meta


class _List(msgspec.Struct):
    items: list[_Item] | None = None


class HttpApi:
    """The API over HTTP; use as an async context manager."""

    def __init__(self, credentials: Credentials, *, timeout_s: float, connections: int) -> None:
        self._credentials = credentials
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpApi:
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=self._credentials.tls)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def apply(
        self, kind: Kind, manifest: Manifest, *, manager: str = names.MANAGER, part: str = ""
    ) -> Manifest:
        """See `Api`."""
        body = {"apiVersion": kind.api, "kind": kind.name} | manifest
        query = {"fieldManager": manager, "force": "true"}
        path = _path(kind, manifest, part=part)
        return await self._send("PATCH", kind, path, body=body, content=_APPLY, query=query)

    async def get(self, kind: Kind, key: Key) -> Manifest:
        """See `Api`."""
        return await self._send("GET", kind, kind.path(*key))

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See `Api`."""
        body = {"apiVersion": kind.api, "kind": kind.name} | manifest
        path = kind.path(manifest["metadata"].get("namespace", ""))
        query = {"fieldManager": names.MANAGER}
        return await self._send("POST", kind, path, body=body, query=query)

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See `Api`."""
        body = {"apiVersion": kind.api, "kind": kind.name} | manifest
        query = {"fieldManager": names.MANAGER}
        return await self._send("PUT", kind, _path(kind, manifest), body=body, query=query)

    async def merge(self, kind: Kind, key: Key, patch: Manifest, *, manager: str) -> Manifest:
        """See `Api`."""
        query = {"fieldManager": manager}
        path = kind.path(*key)
        return await self._send("PATCH", kind, path, body=patch, content=_MERGE, query=query)

    async def resize(self, key: Key, patch: Manifest) -> Manifest:
        """See `Api`."""
        # Containers are merged by their names, which no plain merge does.
        query = {"fieldManager": names.FILES_MANAGER}
        path = POD.path(*key, part="resize")
        return await self._send("PATCH", POD, path, body=patch, content=_STRATEGIC, query=query)

    async def delete(self, kind: Kind, key: Key, *, uid: str) -> None:
        """See `Api`."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._send("DELETE", kind, kind.path(*key), body=body)

    async def versions(self, kind: Kind, namespace: str = "") -> dict[Key, tuple[str, int]]:
        """See `Api`."""
        query = {"labelSelector": kind.selector} if kind.selector else {}
        path = kind.path(namespace)
        raw = await self._bytes("GET", kind, path, query=query, accept=_METADATA)
        metas = [item.metadata for item in msgspec.json.decode(raw, type=_List).items or []]
        return {Key(m.namespace, m.name): (m.uid, int(m.resourceVersion)) for m in metas}

    async def _send(self, method: str, kind: Kind, path: str, **rest: Any) -> Manifest:
        answer = msgspec.json.decode(await self._bytes(method, kind, path, **rest))
        return answer if isinstance(answer, dict) else {}

    async def _bytes(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        body: Manifest | None = None,
        content: str = _JSON,
        query: dict[str, str] | None = None,
        accept: str = _JSON,
    ) -> bytes:
        headers = {"Accept": accept, "Content-Type": content} | await self._credentials.headers()
        data = msgspec.json.encode(body) if body is not None else None
        url = f"{self._credentials.host}{path}"
        session = self._open()
        code = "none"
        try:
            async with session.request(
                method, url, params=query, data=data, headers=headers
            ) as response:
                raw = await response.read()
                code = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            metrics.API_REQUESTS.labels(method, kind.name, code).inc()
        if response.status >= 400:
            raise _error(response.status, raw)
        return raw

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("HttpApi is used outside its context")
        return self._session


def _path(kind: Kind, manifest: Manifest, *, part: str = "") -> str:
    meta = manifest["metadata"]
    return kind.path(meta.get("namespace", ""), meta["name"], part=part)


def _error(status: int, raw: bytes) -> ApiError | ApiUnavailable:
    try:
        answer = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        answer = {}
    words = answer if isinstance(answer, dict) else {}
    message = str(words.get("message", raw[:200].decode(errors="replace")))
    if status in _LATER:
        return ApiUnavailable(f"{status}: {message}")
    return _ERRORS.get(status, ApiError)(status, str(words.get("reason", "")), message)
