# SPDX-License-Identifier: Apache-2.0
"""How a request is sent: connections reused, orders never twice, honest answers when all fails."""

from __future__ import annotations

import asyncio

import pytest

from cluster.ports import free_port
from cluster.waiting import patience_s
from router.conftest import MakeRouter
from router.proxy import Answer, Router
from router.redis_server import RedisServer
from router.upstream import Upstream
from router.waiting import AT_ONCE_S, until

pytestmark = pytest.mark.service


async def test_reads_share_connections_and_orders_each_have_their_own(
    router: Router, upstream: Upstream
) -> None:
    for _ in range(40):
        await router.ask("/accounts/10001/api/account")
    reads = len(upstream.connections)
    for _ in range(5):
        await router.ask("/accounts/10001/api/order", "POST", json={"volume": 1})

    assert reads <= 2  # one per worker
    assert len(upstream.connections) == reads + 5


async def test_kept_connections_of_one_account_are_never_used_for_another(
    router: Router, redis: RedisServer, upstream: Upstream, other: Upstream
) -> None:
    await redis.put("20002", other.address)
    await until(lambda: router.knows("20002"), what="the second route")

    for _ in range(20):
        one = await router.ask("/accounts/10001/api/x")
        two = await router.ask("/accounts/20002/api/x")
        assert (one.json["stub"], two.json["stub"]) == ("one", "two")


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_an_order_whose_answer_is_lost_arrives_exactly_once_and_is_called_unknown(
    router: Router, upstream: Upstream, method: str
) -> None:
    for _ in range(4):  # reads first, so that there are connections to reuse
        await router.ask("/accounts/10001/api/account")
    upstream.requests.clear()
    upstream.behave = "die"

    answer = await router.ask("/accounts/10001/api/order", method, json={"volume": 1})

    assert (answer.status, answer.problem) == (504, "outcome-unknown")
    assert answer.json["account_id"] == "10001"
    assert len(upstream.requests) == 1


async def test_an_order_after_the_sidecar_closed_its_connections_is_simply_sent(
    router: Router, upstream: Upstream
) -> None:
    for _ in range(4):
        await router.ask("/accounts/10001/api/account")
    await upstream.close()
    await upstream.start()

    answer = await router.ask("/accounts/10001/api/order", "POST", json={"volume": 1})

    assert answer.status == 200
    assert [method for method, _ in upstream.requests].count("POST") == 1


async def test_a_read_on_a_dead_kept_connection_is_asked_again(
    router: Router, upstream: Upstream
) -> None:
    for round_ in range(5):
        for _ in range(4):
            answer = await router.ask("/accounts/10001/api/account")
            assert answer.status == 200, round_
        upstream.behave = "die"
        await router.ask("/accounts/10001/api/account")
        upstream.behave = "normal"


async def test_an_order_to_a_dead_address_is_called_not_sent(
    router: Router, redis: RedisServer
) -> None:
    await redis.put("30003", f"127.0.0.1:{free_port()}")
    await until(lambda: router.knows("30003"), what="the route")

    order = await router.ask("/accounts/30003/api/order", "POST", json={})
    read = await router.ask("/accounts/30003/api/account")

    for answer in (order, read):
        assert (answer.status, answer.problem) == (503, "account-unreachable")
        assert answer.headers["Retry-After"] == "2"
    assert "not sent" in order.json["detail"]


async def test_a_body_is_held_in_no_file_while_the_sidecar_is_asked(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, MAX_BODY_BYTES=1_000_000, READ_TIMEOUT_S=1)
    await until(router.ready, what="ready")
    upstream.behave = "silent"

    asking = asyncio.create_task(
        router.ask("/accounts/10001/api/order", "POST", data=b"x" * 999_999)
    )
    await until(lambda: upstream.requests, what="the request to arrive")

    assert router.files() == []
    assert (await asking).status == 504


async def test_an_answer_that_its_client_does_not_read_stays_with_the_sidecar(
    router: Router, upstream: Upstream
) -> None:
    upstream.behave = "large"
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port, limit=1024)

    writer.write(b"GET /accounts/10001/api/history HTTP/1.1\r\nHost: router\r\n\r\n")
    await reader.readuntil(b"\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(upstream.written.wait(), patience_s(1))

    assert router.files() == []
    writer.transport.abort()


async def test_a_silent_sidecar_is_given_up(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, READ_TIMEOUT_S=1)
    await until(router.ready, what="ready")
    upstream.behave = "silent"

    read, order = await asyncio.gather(
        router.ask("/accounts/10001/api/account"),
        router.ask("/accounts/10001/api/order", "POST", json={}),
    )

    assert (read.status, read.problem) == (503, "account-no-answer")
    assert (order.status, order.problem) == (504, "outcome-unknown")
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_sidecar_of_another_account_is_never_shown(
    router: Router, upstream: Upstream, method: str
) -> None:
    upstream.behave = "misdirected"

    answer = await router.ask("/accounts/10001/api/account", method)

    assert (answer.status, answer.problem) == (503, "account-moving")
    assert answer.headers["Retry-After"] == "2"
    assert b"another" not in answer.body
    assert "ETag" not in answer.headers


async def test_a_sidecars_own_problem_passes_unchanged(router: Router, upstream: Upstream) -> None:
    upstream.behave = "problem-504"

    answer = await router.ask("/accounts/10001/api/order", "POST", json={})

    assert answer.status == 504
    assert answer.json == {"type": "/problems/outcome-unknown", "sidecar": True}


@pytest.mark.parametrize("path", ["/ws/account/10001?since=3", "/accounts/10001/ws?since=3"])
async def test_a_websocket_passes(router: Router, upstream: Upstream, path: str) -> None:
    async with router.session.ws_connect(router.url + path) as socket:
        assert await socket.receive_str() == "welcome to one at /ws?since=3"
        await socket.send_str("hello")
        assert await socket.receive_str() == "echo hello"

    assert upstream.headers[0]["x-mt5-account-id"] == ["10001"]


async def test_a_websocket_to_a_foreign_sidecar_is_told_to_come_again(
    router: Router, upstream: Upstream
) -> None:
    upstream.behave = "misdirected"

    upgrade = (b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAA")
    answer: Answer = await router.raw(b"GET /ws/account/10001 HTTP/1.1", *upgrade)

    assert (answer.status, answer.problem) == (503, "account-moving")


async def test_a_moved_account_is_followed_and_its_open_socket_stays(
    router: Router, redis: RedisServer, upstream: Upstream, other: Upstream
) -> None:
    async with router.session.ws_connect(router.url + "/ws/account/10001") as socket:
        await socket.receive_str()

        await redis.put("10001", other.address, epoch=2)

        async def moved() -> bool:
            answer = await router.ask("/accounts/10001/api/x")
            return bool(answer.json["stub"] == "two")

        await until(moved, what="the new route", timeout_s=AT_ONCE_S)
        await socket.send_str("still there?")
        assert await socket.receive_str() == "echo still there?"
