# SPDX-License-Identifier: Apache-2.0
"""What stands around accounts is listed by pages, and followed through whatever may come."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cluster.waiting import patience_s
from mt5_operator.cluster.api import HttpApi
from mt5_operator.cluster.credentials import Credentials
from mt5_operator.cluster.kinds import AROUND, OURS, POD
from mt5_operator.cluster.reflector import Reflector
from mt5_operator.errors import ApiUnavailable, Refused
from mt5_operator.handlers import operator_settings, registry
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest

PAGE = 10
SILENT_S = 4


def pod(number: int, version: int) -> Manifest:
    return {
        "metadata": {"name": f"p{number}", "uid": f"u{number}", "resourceVersion": f"{version}"}
    }


class Server:
    """An API server's pods: a list that it gives by pages, and watches that a test speaks in."""

    def __init__(self) -> None:
        self.pods = [pod(number, 100 + number) for number in range(25)]
        self.version = "200"
        self.lists: list[dict[str, str]] = []
        self.watched_from: list[str] = []
        self.refuse_watches = 0
        # Of the watch that is open, or of the first one.
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        assert query["labelSelector"] == POD.selector
        if "watch" in query:
            return await self._watch(request, query)
        self.lists.append(query)
        start = int(query.get("continue", 0))
        end = start + int(query.get("limit", len(self.pods)))
        meta = {"resourceVersion": self.version}
        if end < len(self.pods):
            meta["continue"] = str(end)
        return web.json_response({"metadata": meta, "items": self.pods[start:end]})

    def says(self, kind: str, thing: Any) -> None:
        """Send an event in the watch that is open, or that will be."""
        self._lines.put_nowait(json.dumps({"type": kind, "object": thing}).encode() + b"\n")

    def hangs_up(self) -> None:
        """Break the connection of a watch."""
        self._lines.put_nowait(None)

    async def _watch(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        self.watched_from.append(query["resourceVersion"])
        if self.refuse_watches:
            self.refuse_watches -= 1
            return web.json_response({"message": "a restart"}, status=503)
        if len(self.watched_from) > 1:
            self._lines = asyncio.Queue()  # who waits at the other end of the old one is gone
        response, lines = web.StreamResponse(), self._lines
        await response.prepare(request)
        while (line := await lines.get()) is not None:
            # In two pieces, as it may come.
            await response.write(line[:7])
            await response.write(line[7:])
        assert request.transport is not None
        request.transport.abort()
        return response


@pytest.fixture
async def seen() -> AsyncIterator[Any]:
    """A server, and what a reflector of its pods told."""
    server, fed = Server(), []
    app = web.Application()
    app.router.add_get("/api/v1/pods", server.answer)
    settings = Settings(watch_retry_s=0.001, watch_inactivity_s=SILENT_S)

    async def headers() -> dict[str, str]:
        return {}

    async with TestServer(app) as host:
        url = str(host.make_url("")).rstrip("/")
        credentials = Credentials(url, tls=True, headers=headers)
        async with HttpApi(credentials, timeout_s=5, connections=1, page=PAGE) as api:
            found = SimpleNamespace(server=server, fed=fed, relisted=0, api=api, breaks=set())

            def take(event: str | None, manifest: Manifest) -> None:
                if manifest["metadata"]["name"] in found.breaks:
                    raise ValueError(manifest)
                fed.append((event, manifest["metadata"]["name"], len(server.lists)))

            def relisted() -> None:
                found.relisted += 1

            reflector = Reflector(api, POD, "", settings, fed=take, relisted=relisted)
            running = asyncio.ensure_future(reflector.run())
            yield found
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def until(claim: Any) -> None:
    async with asyncio.timeout(patience_s(15)):
        while not claim():  # noqa: ASYNC110 - the claim is about several things
            await asyncio.sleep(0.005)


async def test_a_page_is_told_before_the_next_is_asked_for(seen: Any) -> None:
    await until(lambda: seen.relisted)

    assert [one["limit"] for one in seen.server.lists] == [str(PAGE)] * 3
    # All of a page was told while no list after it had been asked for.
    assert [told[2] for told in seen.fed] == [1] * PAGE + [2] * PAGE + [3] * 5
    assert {told[1] for told in seen.fed} == {f"p{number}" for number in range(25)}


async def test_versions_are_listed_by_pages(seen: Any) -> None:
    await until(lambda: seen.relisted)
    before = len(seen.server.lists)

    found = await seen.api.versions(POD)

    assert len(seen.server.lists) == before + 3
    assert found[Key("", "p24")] == ("u24", 124)
    assert len(found) == 25


async def test_a_watch_takes_no_connection_from_requests(seen: Any) -> None:
    # `connections=1`, and the watch is open.
    await until(lambda: seen.server.watched_from)

    async with asyncio.timeout(SILENT_S * 0.7):
        await seen.api.versions(POD)


async def test_changes_are_told(seen: Any) -> None:
    seen.server.says("MODIFIED", pod(3, 201))
    seen.server.says("DELETED", pod(4, 202))

    await until(lambda: len(seen.fed) == 27)

    assert [told[:2] for told in seen.fed[25:]] == [("MODIFIED", "p3"), ("DELETED", "p4")]


async def test_a_broken_watch_goes_on_where_it_was(seen: Any) -> None:
    seen.server.says("MODIFIED", pod(3, 201))
    seen.server.says("BOOKMARK", {"metadata": {"resourceVersion": "300"}})
    seen.server.hangs_up()

    await until(lambda: len(seen.server.watched_from) == 2)

    assert seen.server.watched_from == ["200", "300"]
    assert seen.relisted == 1
    assert len(seen.fed) == 26


async def test_a_version_that_is_too_old_is_listed_anew(seen: Any) -> None:
    seen.server.says("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "?"})

    await until(lambda: seen.relisted >= 2)

    assert seen.server.watched_from[0] == "200"


async def test_a_server_that_cannot_go_on_is_asked_anew(seen: Any) -> None:
    await until(lambda: seen.server.watched_from)
    seen.server.refuse_watches = 3
    seen.server.hangs_up()

    await until(lambda: seen.relisted >= 2)


async def test_what_is_no_answer_of_an_api_server_ends_nothing(seen: Any) -> None:
    seen.server.says(3, "a proxy's page")

    await until(lambda: len(seen.server.watched_from) == 2)

    assert seen.server.watched_from == ["200", "200"]


async def test_a_silent_watch_is_opened_again(seen: Any) -> None:
    await until(lambda: len(seen.server.watched_from) >= 2)

    assert seen.fed


async def test_an_object_that_nobody_understands_hides_no_other(seen: Any) -> None:
    seen.breaks.add("p3")
    seen.server.says("MODIFIED", pod(3, 201))
    seen.server.says("MODIFIED", pod(4, 202))

    await until(lambda: ("MODIFIED", "p4") in [told[:2] for told in seen.fed])


def test_kopf_lists_our_own_kinds_by_pages_and_nothing_else() -> None:
    settings, world = Settings(list_page=50), Any
    found = registry(world, lambda: None)  # type: ignore[arg-type]

    assert operator_settings(settings).watching.chunk_size == 50
    assert {handler.id for handler in found._watching.get_all_handlers()} == {
        kind.plural for kind in OURS
    }
    assert not {kind.plural for kind in AROUND} & {kind.plural for kind in OURS}


def test_kopf_gives_up_no_watch_for_it_would_end_with_it() -> None:
    told = operator_settings(Settings(watch_retry_s=1, watch_retry_max_s=5)).networking
    assert isinstance(told.error_backoffs, Iterable)

    # Anew for each request, and without an end.
    for _ in range(2):
        assert list(islice(told.error_backoffs, 1000)) == [1, 2, 4, *[5] * 997]


async def test_a_server_that_refuses_is_asked_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    class Refusing:
        async def listed(self, *_: Any) -> str:
            if len(pauses) == 7:
                raise ApiUnavailable("a restart")
            raise Refused(403, "Forbidden", "no")

    async def slept(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", slept)
    monkeypatch.setattr(random, "uniform", lambda *_: 1)
    settings = Settings(watch_retry_s=0.5, backoff_max_s=20)
    api: Any = Refusing()
    reflector = Reflector(api, POD, "gone", settings, fed=lambda *_: None, relisted=lambda: None)

    with pytest.raises(asyncio.CancelledError):
        await reflector.run()

    assert pauses == [1, 2, 4, 8, 16, 20, 20, 0.5]
