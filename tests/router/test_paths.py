# SPDX-License-Identifier: Apache-2.0
"""Which request goes to which account, and what it becomes there."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from router.proxy import Router
from router.redis_server import RedisServer
from router.upstream import Upstream
from router.waiting import until

pytestmark = pytest.mark.service


@pytest.mark.parametrize(
    ("asked", "arrives"),
    [
        ("/accounts/10001/api/account", "/api/account"),
        ("/accounts/10001/api/history?days=3", "/api/history?days=3"),
        ("/accounts/10001/openapi.json", "/openapi.json"),
        ("/accounts/10001/api/symbols/%23US500", "/api/symbols/%23US500"),
        ("/accounts/10001/api/symbols/a%2Fb", "/api/symbols/a%2Fb"),
        ("/accounts/10001/api/symbols/%D0%AF?q=%20", "/api/symbols/%D0%AF?q=%20"),
        ("/api/positions?account_id=10001", "/api/positions?account_id=10001"),
        ("/api/ticks?x=1&account_id=10001&y=2", "/api/ticks?x=1&account_id=10001&y=2"),
        ("/ws/account/10001", "/ws"),
        ("/ws/account/10001?since=4", "/ws?since=4"),
        ("/accounts/10001/ws", "/ws"),
        ("/accounts/10001/ws/status", "/ws/status"),
    ],
)
async def test_a_request_reaches_its_account_without_the_prefix(
    router: Router, upstream: Upstream, asked: str, arrives: str
) -> None:
    answer = await router.raw(f"GET {asked} HTTP/1.1".encode())

    assert answer.status == 200
    assert upstream.requests == [("GET", arrives)]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/accounts",
        "/accounts/",
        "/accounts/10001",
        "/api/account",
        "/api/account?x_account_id=10001",
        "/ws",
        "/ws/account/",
        "/ws/account/10001/more",
        "/apix/account?account_id=10001",
        "/metrics",
        "/accounts/10001/internal/state",
        "/accounts/10001//internal/state",
        "/accounts/10001/metrics",
        "/.problem/502",
    ],
)
async def test_anything_else_is_not_found(router: Router, upstream: Upstream, path: str) -> None:
    answer = await router.raw(f"GET {path} HTTP/1.1".encode())

    assert (answer.status, answer.problem) == (404, "not-found")
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /accounts/../accounts/10001/api/x HTTP/1.1", 404),
        (b"GET /accounts/10001/../10002/api/x HTTP/1.1", 404),
        (b"GET /accounts/10001/api/%2e%2e/internal/state HTTP/1.1", 404),
        (b"GET /accounts/10001/api/..%2finternal HTTP/1.1", 404),
        (b"GET /accounts/10001/api/..\\internal HTTP/1.1", 404),
        (b"GET /accounts/%2e%2e/10001/api/x HTTP/1.1", 404),
        (b"GET /accounts/10001%2f..%2f10002/api/x HTTP/1.1", 404),
        (b"GET /accounts/10001%00/api/x HTTP/1.1", 400),
        (b"GET /accounts/10001%0d%0aX-Evil:%201/api/x HTTP/1.1", 404),
        (b"GET /accounts/" + b"\xef\xbc\x91\xd9\xa1" + b"/api/x HTTP/1.1", 404),
        (b"GET /accounts/1%30001/api/x HTTP/1.1", 404),
        (b"GET /accounts/" + b"1" * 65 + b"/api/x HTTP/1.1", 404),
        (b"GET /accounts/" + b"1" * 7000 + b"/api/x HTTP/1.1", 404),
        (b"GET /accounts/" + b"1" * 20000 + b"/api/x HTTP/1.1", 414),
        (b"GET /api/x?account_id=10001%26 HTTP/1.1", 404),
        (b"GET /api/x?account_id=10001&account_id=10002 HTTP/1.1", 400),
        (b"GET /accounts/10001/api/x?account_id=10002 HTTP/1.1", 400),
        (b"GET  /accounts/10001/api/x HTTP/1.1\r\nGET /", 400),
        (b"GARBAGE", 400),
    ],
)
async def test_a_hostile_path_reaches_no_account(
    router: Router, upstream: Upstream, line: bytes, status: int
) -> None:
    answer = await router.raw(line)

    assert answer.status == status
    assert answer.problem
    assert upstream.requests == []


async def test_the_sidecar_learns_the_account_from_the_router_alone(
    router: Router, upstream: Upstream
) -> None:
    await router.raw(
        b"GET /accounts/10001/api/x HTTP/1.1",
        b"X-MT5-Account-Id: 10002",
        b"X_MT5_Account_Id: 10002",
        b"x-mt5-account-id: 10003",
    )

    [headers] = upstream.headers
    seen = {name.replace("_", "-"): values for name, values in headers.items()}
    assert seen["x-mt5-account-id"] == ["10001"]


async def test_a_request_id_is_kept_made_and_returned(router: Router, upstream: Upstream) -> None:
    given = await router.raw(b"GET /accounts/10001/api/x HTTP/1.1", b"X-Request-Id: my-id.1")
    made = await router.ask("/accounts/10001/api/x")
    hostile = await router.raw(b"GET /accounts/10001/api/x HTTP/1.1", b'X-Request-Id: a"b c')
    refused = await router.ask("/accounts/404/api/x")

    sent = [headers["x-request-id"][0] for headers in upstream.headers]
    assert sent[0] == given.headers["X-Request-Id"] == "my-id.1"
    assert sent[1] == made.headers["X-Request-Id"]
    assert len(sent[1]) == len(sent[2]) == 32
    assert sent[2] == hostile.headers["X-Request-Id"]
    assert refused.json["request_id"] == refused.headers["X-Request-Id"]


async def test_an_unknown_account_is_404_and_one_without_a_terminal_is_503(router: Router) -> None:
    unknown = await router.ask("/accounts/777/api/account")
    waiting = await router.ask("/accounts/10002/api/account")

    assert (unknown.status, unknown.problem) == (404, "account-unknown")
    assert (waiting.status, waiting.problem) == (503, "account-unavailable")
    assert waiting.headers["Retry-After"] == "2"
    assert waiting.json["reason"] == "NoCapacity"
    assert waiting.json["detail"] == "No node has room."


async def test_too_large_bodies_and_headers_are_problems(
    router: Router, upstream: Upstream
) -> None:
    body = await router.ask("/accounts/10001/api/order", "POST", data=io.BytesIO(b"x" * 65_537))
    header = await router.raw(b"GET /accounts/10001/api/x HTTP/1.1", b"X-Long: " + b"x" * 20_000)

    assert (body.status, body.problem) == (413, "content-too-large")
    assert (header.status, header.problem) == (431, "header-too-large")
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"TRACE /accounts/10001/api/x HTTP/1.1",), 405),
        ((b"POST /accounts/10001/api/x HTTP/1.1", b"Transfer-Encoding: gzip"), 501),
    ],
)
async def test_what_is_refused_before_its_path_is_read_has_an_id_too(
    router: Router, lines: tuple[bytes, ...], status: int
) -> None:
    answer = await router.raw(*lines)

    assert answer.status == status
    assert answer.problem
    assert answer.headers["X-Request-Id"] == answer.json["request_id"] != ""


async def test_http_1_0_needs_no_host(router: Router, upstream: Upstream) -> None:
    read = await router.wire(b"GET /accounts/10001/api/x HTTP/1.0\r\n\r\n")
    order = await router.wire(
        b"POST /accounts/10001/api/order HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}"
    )

    assert (read.status, order.status) == (200, 200)
    assert order.json["body"] == "{}"
    assert len(upstream.requests) == 2


STRICTER: dict[str, tuple[bytes, ...]] = {
    "a method of nobody's": (b"FOO /accounts/10001/api/order HTTP/1.1",),
    "a path in UTF-8": (b"GET /accounts/10001/api/symbols/\xd0\xaf HTTP/1.1",),
    "a query in no encoding": (b"GET /accounts/10001/api/ticks?symbols=\xff HTTP/1.1",),
    "a header that is no text": (b"GET /accounts/10001/api/x HTTP/1.1", b"X-A: a\x01b"),
    "too many headers": (
        b"POST /accounts/10001/api/order HTTP/1.1",
        *(b"X-%d: a" % number for number in range(200)),
    ),
}


@pytest.mark.parametrize("what", STRICTER)
async def test_what_only_the_sidecars_parser_refuses_is_a_problem_too(
    router: Router, upstream: Upstream, what: str
) -> None:
    answer = await router.raw(*STRICTER[what])

    assert (answer.status, answer.problem) == (400, "bad-request")
    assert answer.json["account_id"] == "10001"
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert upstream.requests == []


async def test_a_version_that_is_none_is_a_problem(router: Router) -> None:
    answer = await router.raw(b"GET /accounts/10001/api/x HTTP/2.0")

    assert (answer.status, answer.problem) == (505, "http-version-not-supported")


async def test_no_client_decides_what_a_line_of_the_log_is(router: Router) -> None:
    hostile = [
        b"GET /accounts/10001/\xff\xfe\xe2\x80\xa8 HTTP/1.1",
        b"GET /accounts/\xff HTTP/1.1",
        b"GET /accounts/10001/" + b"\xff" * 7000 + b" HTTP/1.1",
        b"M" * 7000 + b" /accounts/10001/api/x HTTP/1.1",
    ]
    for line in hostile:
        await router.raw(line, b"User-Agent: \xff")
    log = router.directory / "stdout"
    await until(lambda: log.read_bytes().count(b"\n") == len(hostile), what="all lines")
    lines = log.read_bytes().splitlines(keepends=True)
    told = [json.loads(line) for line in lines]

    assert all(len(line) < 4096 for line in lines)
    assert {one["path"] for one in told} >= {"/accounts/10001/%FF%FE%E2%80%A8", "/accounts/%FF"}
    assert "other" in {one["method"] for one in told}


async def test_who_goes_before_the_answer_decides_no_more_of_its_line(
    router: Router, redis: RedisServer
) -> None:
    arrived = asyncio.Queue[None]()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(None)
        await reader.read()
        writer.close()

    mute = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    await redis.put("10003", "{}:{}".format(*mute.sockets[0].getsockname()))
    await until(lambda: _routes(router, 3), what="the route")
    log = router.directory / "stdout"
    before = log.read_bytes().count(b"\n")
    async with mute:
        for path in (b"\xff", b"x" * 7000):
            _, writer = await asyncio.open_connection("127.0.0.1", router.port)
            writer.write(b"GET /accounts/10003/" + path + b" HTTP/1.1\r\nHost: r\r\n\r\n")
            await writer.drain()
            await arrived.get()
            writer.close()
    await until(lambda: log.read_bytes().count(b"\n") == before + 2, what="both lines")
    lines = log.read_bytes().splitlines()[before:]

    assert [json.loads(line)["status"] for line in lines] == [499, 499]
    assert json.loads(lines[0])["path"] == "/accounts/10003/%FF"
    assert all(line.isascii() and len(line) < 4096 for line in lines)


async def _routes(router: Router, count: int) -> bool:
    return await router.metric("mt5_router_routes") == count
