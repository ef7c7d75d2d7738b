# SPDX-License-Identifier: Apache-2.0
"""Short loads: what they count, and when they end."""

import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench import burst
from bench.load import Subject

BODY = b"x" * 100_000


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["X-Who"])
        status = int(request.query.get("status", "200"))
        return web.Response(status=status, body=b"" if status == 304 else BODY)

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as running:
        running.asked = asked  # type: ignore[attr-defined]
        yield running


def subject(server: TestServer, status: int) -> Subject:
    url = str(server.make_url(f"/?status={status}"))
    return Subject(name="s", url=url, pids=[os.getpid()], headers={"X-Who": "me"})


@pytest.mark.parametrize("status", [200, 304])
async def test_a_burst_counts_whole_answers_until_the_server_has_spent_its_share(
    server: TestServer, status: int
) -> None:
    sample = await burst.burst(subject(server, status), server_cpu_s=0.05)

    asked = server.asked  # type: ignore[attr-defined]
    assert set(asked) == {"me"}
    # The first turn warms up and does not count.
    assert sample.requests == len(asked) - burst.CONNECTIONS
    assert sample.cpu_s >= 0.05


async def test_a_burst_of_refusals_is_no_measurement(server: TestServer) -> None:
    with pytest.raises(ValueError, match="503"):
        await burst.burst(subject(server, 503), server_cpu_s=0.05)


async def test_a_burst_ends_although_the_server_gets_no_time(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst, "cpu_s", lambda _: 0.0)
    monkeypatch.setattr(burst, "LONGEST_S", 0.2)

    assert (await burst.burst(subject(server, 304), server_cpu_s=1)).requests > 0
