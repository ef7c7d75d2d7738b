# SPDX-License-Identifier: Apache-2.0
"""What one address may ask: enough for many good clients behind it, too little to harm others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from cluster.waiting import patience_s
from router.conftest import MakeRouter
from router.proxy import Answer, Router
from router.redis_server import RedisServer
from router.upstream import Upstream
from router.waiting import until

pytestmark = pytest.mark.service

Make = Callable[..., Awaitable[Router]]
SLOWEST = {"CLIENT_REQUESTS_PER_S": 1, "CLIENT_REQUEST_BURST": 2}


@pytest.fixture
async def make(redis: RedisServer, make_router: MakeRouter, upstream: Upstream) -> Make:
    """Return a function that starts a router with accounts 10001 and 20002 at `upstream`."""
    for account in ("10001", "20002"):
        await redis.put(account, upstream.address)
    await redis.complete()

    async def made(**settings: Any) -> Router:
        router = await make_router(REDIS_URL=redis.url, **settings)
        await until(router.ready, what="the router to be ready")
        return router

    return made


async def asked(router: Router, count: int, **options: Any) -> list[int]:
    answers = [await router.ask("/accounts/10001/api/x", **options) for _ in range(count)]
    return [answer.status for answer in answers]


async def refused(router: Router, path: str = "/accounts/10001/api/x", *args: Any) -> bool:
    answer = await router.ask(path, *args)
    return answer.status == 429


@asynccontextmanager
async def stalled(router: Router, path: str, *, length: int) -> AsyncIterator[None]:
    """Keep a request open whose body does not come; it has its place when this begins."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    head = f"POST {path} HTTP/1.1\r\nHost: r\r\nExpect: 100-continue\r\n"
    writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode())
    # Said when its body is awaited. Whoever asks before that may take the place himself.
    assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    writer.write(b"x" * (length - 1))
    await writer.drain()
    try:
        yield
    finally:
        writer.close()


async def test_an_address_that_asks_an_account_too_often_is_told_so(
    make: Make, upstream: Upstream
) -> None:
    router = await make(**SLOWEST)

    first = await asked(router, 3)
    order = await router.ask("/api/order?account_id=10001", "POST", json={"volume": 1})
    other = await router.ask("/accounts/20002/api/x")
    counted = 'mt5_router_problems_total{type="too-many-requests"}'
    await until(lambda: router.metric(counted), what="the refusal to be counted")

    assert first == [200] * 3
    assert (order.status, order.problem) == (429, "too-many-requests")
    assert order.headers["Retry-After"]
    assert order.headers["X-Request-Id"] == order.json["request_id"]
    assert "nothing was sent" in order.json["detail"]
    assert {method for method, _ in upstream.requests} == {"GET"}
    assert other.status == 200
    assert (await router.logged(order.json["request_id"]))["problem"] == "too-many-requests"


async def test_who_guesses_account_ids_is_slowed_and_takes_nothing_from_known_accounts(
    make: Make, redis: RedisServer
) -> None:
    await redis.put("30003", reason="NoCapacity")
    await redis.complete()
    router = await make(CLIENT_UNKNOWN_PER_S=1, CLIENT_UNKNOWN_BURST=2)

    guesses = [await router.ask(f"/accounts/{number}/api/x") for number in range(5)]
    nowhere = await router.ask("/nowhere")
    known = await router.ask("/accounts/10001/api/x")
    waiting = await router.ask("/api/x?account_id=30003")
    order = await router.ask("/api/order?account_id=10001", "POST", json={"volume": 1})

    assert [guess.status for guess in guesses] == [404] * 3 + [429] * 2
    assert guesses[0].problem == "account-unknown"
    assert guesses[4].problem == nowhere.problem == "too-many-requests"
    assert guesses[4].headers["Retry-After"]
    assert (known.status, order.status) == (200, 200)
    assert (waiting.status, waiting.json["reason"]) == (503, "NoCapacity")


async def test_an_account_without_a_terminal_is_asked_no_oftener_than_others(
    make: Make, redis: RedisServer
) -> None:
    await redis.put("30003", reason="NoCapacity")
    await redis.complete()
    router = await make(**SLOWEST)

    answers = [await router.ask("/accounts/30003/api/x") for _ in range(4)]
    other = await router.ask("/accounts/10001/api/x")

    assert [answer.status for answer in answers] == [503] * 3 + [429]
    assert other.status == 200


async def test_refusals_of_one_address_fill_no_log_and_other_lines_are_kept(
    make: Make, upstream: Upstream
) -> None:
    router = await make(
        CLIENT_REFUSALS_LOGGED_PER_MIN=3, CLIENT_UNKNOWN_PER_S=1, TRUSTED_PROXIES="127.0.0.1"
    )
    stranger, client = forwarded("192.0.2.1"), forwarded("192.0.2.2")
    for path in ("/nowhere", "/accounts/404/api/x", "/accounts/404/api/x?account_id=1", "/x", "/y"):
        await router.ask(path, **stranger)
    upstream.behave = "die"
    lost = await router.ask("/accounts/10001/api/order", "POST", data=b"{}", **stranger)
    upstream.behave = "normal"
    told = await router.ask("/nowhere", **client)
    read = await router.ask("/accounts/10001/api/x", **stranger)
    for kept in (lost, told, read):
        await router.logged(kept.headers["X-Request-Id"])
    await until(lambda: _unlogged(router, 2), what="the others to be counted")

    refused = [line for line in router.output().splitlines() if '"upstream":""' in line]
    assert lost.problem == "outcome-unknown"
    assert sum("192.0.2.1" in line for line in refused) == 3


async def test_half_headers_of_one_address_fill_no_log_and_are_counted(make: Make) -> None:
    router = await make(CLIENT_REFUSALS_LOGGED_PER_MIN=3)
    writers = []
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", router.port)
        writer.write(b"GET /accounts/10001/api/x HTTP/1.1\r\nX-A: a")
        await writer.drain()
        writers.append(writer)
    await until(lambda: _all_reading(router, 5), what="all to be counted")
    for writer in writers:
        writer.close()
    await until(lambda: _unlogged(router, 2), what="some to have no line")
    known = await router.ask("/accounts/10001/api/x")
    await router.logged(known.headers["X-Request-Id"])

    assert sum('"status":400' in line for line in router.output().splitlines()) == 3


async def _unlogged(router: Router, count: int) -> bool:
    return await router.metric("mt5_router_unlogged_requests_total") == count


async def _all_reading(router: Router, count: int) -> bool:
    # The one that asks is among them: its header is whole, and its answer not begun.
    return await router.metric("mt5_router_connections_reading") >= count


async def test_requests_that_get_no_answer_fill_one_accounts_share_and_sockets_none(
    make: Make, upstream: Upstream
) -> None:
    router = await make(CLIENT_REQUESTS_AT_ONCE=2)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            url = f"{router.url}/ws/account/10001"
            await stack.enter_async_context(router.session.ws_connect(url))
        upstream.behave = "silent"
        before = len(upstream.requests)
        waiting = [asyncio.create_task(router.ask("/accounts/10001/api/x")) for _ in range(2)]
        await until(lambda: len(upstream.requests) == before + 2, what="both to arrive")
        full = await router.ask("/accounts/10001/api/x")
        upstream.behave = "normal"
        other = await router.ask("/accounts/20002/api/x")

    for task in waiting:
        task.cancel()
    assert (full.status, full.problem) == (429, "too-many-requests")
    assert other.status == 200


async def test_a_read_that_calls_itself_a_socket_is_counted_as_a_read(
    make: Make, upstream: Upstream
) -> None:
    router = await make(CLIENT_REQUESTS_AT_ONCE=1)
    upgrade = {"headers": {"Connection": "upgrade", "Upgrade": "websocket"}}
    upstream.behave = "silent"
    waiting = asyncio.create_task(router.ask("/accounts/10001/api/x", **upgrade))
    await until(lambda: upstream.requests, what="it to arrive")

    full = await router.ask("/accounts/10001/api/x", **upgrade)

    waiting.cancel()
    assert (full.status, full.problem) == (429, "too-many-requests")
    assert "upgrade" not in upstream.headers[0]


async def test_large_bodies_that_do_not_end_shut_out_no_order(make: Make) -> None:
    router = await make(LARGE_REQUESTS_AT_ONCE=2)
    path = "/accounts/10001/api/order"

    async with stalled(router, path, length=60_000), stalled(router, path, length=60_000):
        for large in ("/accounts/20002/openapi.json", "/accounts/20002/%6Fpenapi.json"):
            assert await refused(router, large)
        body = await router.ask(path, "POST", data=b"x" * 10_000)
        order = await router.ask(path, "POST", data=b"x" * 9_999)
        read = await router.ask("/accounts/10001/api/x")
    await until(
        lambda: _answered(router, "/accounts/20002/openapi.json"), what="a place to be free"
    )

    assert (body.status, order.status, read.status) == (429, 200, 200)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /accounts/10001/api/x HTTP/1.1\r\nX-A: a",
        b"POST /accounts/10001/api/order HTTP/1.1\r\nHost: r\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["nothing", "half a header", "half a body"],
)
async def test_who_does_not_go_on_is_sent_away_and_reaches_no_sidecar(
    make: Make, upstream: Upstream, said: bytes
) -> None:
    router = await make(HEADER_TIMEOUT_S=1, BODY_TIMEOUT_S=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(said)
    meanwhile = await router.ask("/accounts/20002/api/x")

    async with asyncio.timeout(patience_s(5)):
        with suppress(ConnectionResetError):
            await reader.read()

    writer.close()
    assert meanwhile.status == 200
    assert upstream.requests == [("GET", "/api/x")]


async def _answered(router: Router, path: str) -> bool:
    return not await refused(router, path)


def forwarded(*addresses: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": ", ".join(addresses)}}


async def test_without_a_trusted_proxy_nobody_names_another_address(make: Make) -> None:
    router = await make(**SLOWEST)

    statuses = [(await asked(router, 1, **forwarded(f"192.0.2.{n}")))[0] for n in range(5)]

    assert statuses == [200, 200, 200, 429, 429]


async def test_behind_trusted_proxies_each_client_has_its_own_share(
    make: Make, upstream: Upstream
) -> None:
    router = await make(**SLOWEST, TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8")

    first = await asked(router, 4, **forwarded("192.0.2.1"))
    # What a client writes itself stands before what the proxies add.
    again = await asked(router, 1, **forwarded("198.51.100.7", "192.0.2.1", "10.1.2.3"))
    second = await router.ask("/accounts/10001/api/x", **forwarded("192.0.2.2"))

    assert (first, again, second.status) == ([200, 200, 200, 429], [429], 200)
    assert (await router.logged(second.headers["X-Request-Id"]))["client"] == "192.0.2.2"


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("2001:db8:1:2:3::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("2001:db8::1:2:3:4", "2001:db8::9:8:7:6", True),
        ("2001:db8::1", "2001:db9::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
async def test_addresses_of_one_network_share(
    make: Make, one: str, another: str, *, same: bool
) -> None:
    router = await make(**SLOWEST, TRUSTED_PROXIES="127.0.0.1")
    await asked(router, 4, **forwarded(one))

    [status] = await asked(router, 1, **forwarded(another))

    assert status == (429 if same else 200)


async def test_a_hundred_good_clients_behind_one_address_are_served(make: Make) -> None:
    router = await make()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:

        async def client(number: int) -> list[Answer]:
            path = f"{router.url}/accounts/{('10001', '20002')[number % 2]}/api/x"
            answers = []
            for _ in range(5):
                async with session.get(path) as answer:
                    answers.append(Answer(answer.status, answer.headers, await answer.read()))
            return answers

        answers = await asyncio.gather(*(client(number) for number in range(100)))

    assert {answer.status for each in answers for answer in each} == {200}
