# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API in a few verbs, over raw JSON.

The official client loads the credentials; its typed models cost more CPU per object than the
whole reconcile (docs/adr/011), so requests are made here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

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

    async def delete(self, kind: Kind, key: Key, *, uid: str, version: str = "") -> None:
        """Delete the object that has this uid; another one of the same name is left alone.

        With `version` (a resourceVersion), it is left alone if it changed since.
        """

    async def versions(self, kind: Kind, namespace: str = "") -> dict[Key, tuple[str, int]]:
        """Return uid and resourceVersion of all objects that we watch of a kind."""

    async def schemas(self, kind: Kind) -> dict[str, Manifest]:
        """Return how the kinds of a kind's group look to the API server (OpenAPI 3), by name."""

    async def listed(self, kind: Kind, namespace: str, told: Callable[[Manifest], None]) -> str:
        """Tell of all objects that we watch of a kind; return the version to follow them from."""

    async def follow(
        self, kind: Kind, namespace: str, told: Told, *, since: str, silent_s: float
    ) -> None:
        """Tell of changes after the version `since` until the server ends the watch.

        Raises:
            ApiError: with status 410 where `since` is too long ago.
            ApiUnavailable: also when nothing came for `silent_s`, not even a bookmark.
        """


# A change: what it was (ADDED, MODIFIED, DELETED, BOOKMARK), and the object.
Told = Callable[[str, Manifest], None]


class _Meta(msgspec.Struct):
    name: str
    uid: str
    resourceVersion: str  # noqa: N815 - Kubernetes' own name
    namespace: str = ""


class _Item(msgspec.Struct):
    metadata: _Meta


class _ListMeta(msgspec.Struct, rename={"next_page": "continue"}):
    next_page: str = ""
    resourceVersion: str = ""  # noqa: N815 - Kubernetes' own name


class _Versions(msgspec.Struct):
    metadata: _ListMeta
    items: list[_Item] | None = None


class _Objects(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_List = TypeVar("_List", _Versions, _Objects)
_Form = TypeVar("_Form", _Versions, _Objects, _Event)


class HttpApi:
    """The API over HTTP; use as an async context manager.

    `page` is how many objects of a list are asked for at once.
    """

    def __init__(
        self, credentials: Credentials, *, timeout_s: float, connections: int, page: int = 200
    ) -> None:
        self._credentials = credentials
        self._page = page
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpApi:
        tls = self._credentials.tls
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=tls)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        # Watches stay open: they must not take the connections that requests wait for.
        connector = aiohttp.TCPConnector(limit=0, ssl=tls)
        self._watches = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in filter(None, [self._session, self._watches]):
            await session.close()

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

    async def delete(self, kind: Kind, key: Key, *, uid: str, version: str = "") -> None:
        """See `Api`."""
        only = {"uid": uid} | ({"resourceVersion": version} if version else {})
        body = {"preconditions": only, "propagationPolicy": "Background"}
        await self._send("DELETE", kind, kind.path(*key), body=body)

    async def versions(self, kind: Kind, namespace: str = "") -> dict[Key, tuple[str, int]]:
        """See `Api`."""
        found = {}
        async for page in self._pages(kind, namespace, _Versions, accept=_METADATA):
            for meta in (item.metadata for item in page.items or []):
                found[Key(meta.namespace, meta.name)] = (meta.uid, int(meta.resourceVersion))
        return found

    async def schemas(self, kind: Kind) -> dict[str, Manifest]:
        """See `Api`."""
        found = await self._send("GET", kind, f"/openapi/v3/apis/{kind.api}")
        schemas = found.get("components", {}).get("schemas", {})
        return {
            told["kind"]: dict(schema)
            for schema in schemas.values()
            for told in schema.get("x-kubernetes-group-version-kind", [])
        }

    async def listed(self, kind: Kind, namespace: str, told: Callable[[Manifest], None]) -> str:
        """See `Api`. At any time one page is held as text, and one object as a dict."""
        version = ""
        async for page in self._pages(kind, namespace, _Objects):
            version = page.metadata.resourceVersion
            for raw in page.items or []:
                told(msgspec.json.decode(raw))
        return version

    async def follow(
        self, kind: Kind, namespace: str, told: Told, *, since: str, silent_s: float
    ) -> None:
        """See `Api`."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": since}
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeout.total, sock_read=silent_s)
        async with self._answer(
            "GET",
            kind,
            kind.path(namespace),
            session=self._open(self._watches),
            query=query | _selected(kind),
            timeout=timeout,
        ) as response:
            async for event in _events(response):
                told(event.type, msgspec.json.decode(event.object))

    async def _pages(
        self, kind: Kind, namespace: str, form: type[_List], *, accept: str = _JSON
    ) -> AsyncIterator[_List]:
        # Thousands of objects at once, managedFields included, are more than all that we keep.
        query, path = {"limit": str(self._page)} | _selected(kind), kind.path(namespace)
        while True:
            raw = await self._bytes("GET", kind, path, query=query, accept=accept)
            page = _decoded(raw, form)
            yield page
            if not page.metadata.next_page:
                return
            query["continue"] = page.metadata.next_page

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
        data = msgspec.json.encode(body) if body is not None else None
        session, headers = self._open(self._session), {"Accept": accept, "Content-Type": content}
        async with self._answer(
            method, kind, path, session=session, query=query, headers=headers, data=data
        ) as response:
            return await response.read()

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        session: aiohttp.ClientSession,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **rest: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = (headers or {}) | await self._credentials.headers()
        url = f"{self._credentials.host}{path}"
        code = "none"
        try:
            async with session.request(
                method, url, params=query, headers=headers, **rest
            ) as response:
                if response.status >= 400:
                    raw = await response.read()
                    code = str(response.status)
                    raise _error(response.status, raw)
                yield response
                code = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            metrics.API_REQUESTS.labels(method, kind.name, code).inc()

    @staticmethod
    def _open(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
        if session is None:
            raise RuntimeError("HttpApi is used outside its context")
        return session


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[_Event]:
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            event = _decoded(line, _Event)
            if event.type == "ERROR":
                raise _error(msgspec.json.decode(event.object).get("code", 500), event.object)
            yield event


def _decoded(raw: bytes, form: type[_Form]) -> _Form:
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.DecodeError as error:
        raise ApiUnavailable(f"no answer of an API server: {error}") from error


def _selected(kind: Kind) -> dict[str, str]:
    return {"labelSelector": kind.selector} if kind.selector else {}


def _path(kind: Kind, manifest: Manifest, *, part: str = "") -> str:
    meta = manifest["metadata"]
    return kind.path(meta.get("namespace", ""), meta["name"], part=part)


def _error(status: int, raw: bytes | msgspec.Raw) -> ApiError | ApiUnavailable:
    try:
        answer = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        answer = {}
    words = answer if isinstance(answer, dict) else {}
    message = str(words.get("message", bytes(raw)[:200].decode(errors="replace")))
    if status in _LATER:
        busy = status == HTTPStatus.TOO_MANY_REQUESTS
        return ApiUnavailable(f"{status}: {message}", busy=busy)
    return _ERRORS.get(status, ApiError)(status, str(words.get("reason", "")), message)
