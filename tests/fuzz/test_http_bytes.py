# SPDX-License-Identifier: Apache-2.0
"""HTTP that no client library would send: headers that are no text, bodies that lie."""

import asyncio
import gzip
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import ALL, Survivor

from cluster.waiting import patience_s

EXAMPLES = int(os.environ.get("MT5_FUZZ_EXAMPLES", "40"))
KEY = f"X-API-Key: {ALL}".encode()
ORDER = b"POST /api/order HTTP/1.1"
GET = b"GET %b HTTP/1.1"
ENDS_WITHIN_S = 20.0


async def sent(port: int, start: bytes, *headers: bytes, body: bytes = b"") -> int:
    """Return the status that these bytes are answered with, 0 where the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = (start, b"Host: test", b"Connection: close", *headers, b"", b"")
    writer.write(b"\r\n".join(lines) + body)
    try:
        async with asyncio.timeout(patience_s(ENDS_WITHIN_S)):
            answer = await reader.read()
    except ConnectionError:
        answer = b""
    finally:
        writer.transport.abort()
    return int(answer.split(b" ", 2)[1]) if answer else 0


GZIP = b"Content-Encoding: gzip"
BOMB = gzip.compress(b"0" * 50_000_000)


@pytest.mark.parametrize(
    ("status", "start", "headers", "body"),
    [
        (401, GET % b"/api/status", (b"X-API-Key: \xff\xfe",), b""),
        (401, GET % b"/api/status", (b"Authorization: Bearer \xff",), b""),
        (401, GET % b"/api/status", (b"Authorization: Bearer a.b.c",), b""),
        (401, GET % b"/ws", (b"X-API-Key: \xed\xa0\x80",), b""),
        (421, GET % b"/api/status", (KEY, b"X-MT5-Account-Id: \xff"), b""),
        (200, GET % b"/api/status", (KEY, b"X-Request-Id: \xff"), b""),
        (404, GET % b"/api/symbols/%ff%fe", (KEY,), b""),
        (400, GET % b"/api/symbols/EURUSD,XAUUSD", (KEY,), b""),
        (400, GET % b"/api/rates?symbol=EURUSD,XAUUSD", (KEY,), b""),
        (200, GET % b"/api/ticks?symbols=", (KEY,), b""),
        (404, GET % b"/api/order/%ed%a0%80", (KEY,), b""),
        (400, ORDER, (KEY, b"Idempotency-Key: \xff", b"Content-Length: 2"), b"{}"),
        (400, ORDER, (KEY, GZIP, b"Content-Length: 4"), b"abcd"),
        (400, ORDER, (KEY, GZIP, b"Content-Length: %d" % len(BOMB)), BOMB),
        (413, ORDER, (KEY, b"Content-Length: 70000"), b"[" * 70_000),
        (400, ORDER, (KEY, b"Content-Length: 60000"), b"[" * 60_000),
        (400, ORDER, (KEY, b"Content-Length: 60006"), b'{"a":' + b"[" * 60_000 + b"}"),
        (400, ORDER, (KEY, b"Content-Length: 16"), b'{"volume": NaN} '),
        (400, GET % b"/" + b"a" * 9000, (KEY,), b""),
        (400, GET % b"/api/status", (b"X: " + b"a" * 9000,), b""),
    ],
)
async def test_each_is_told_what_is_wrong(
    survivor: Survivor, status: int, start: bytes, headers: tuple[bytes, ...], body: bytes
) -> None:
    assert await sent(survivor.port, start, *headers, body=body) == status
    await survivor.is_unharmed()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault_of_ours(
    survivor: Survivor,
) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", survivor.port)
        writer.write(b"\r\n".join((ORDER, b"Host: test", KEY, b"Content-Length: 99", b"", b"{")))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    # The first request after them is answered after them.
    await survivor.is_unharmed()


# No line ends: those would begin another header, which is the client's own business.
values = st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\r\n\0"))
paths = st.binary(max_size=40).map(lambda raw: b"/" + b"".join(b"%%%02x" % b for b in raw))
# Not `Expect`: to one that is not ASCII aiohttp 3.14 itself answers 500, before any code of ours.
NAMES = (b"X-API-Key", b"Authorization", b"If-None-Match", b"X-Request-Id", b"Range",
         b"Idempotency-Key", b"Content-Type", b"Content-Encoding", b"Cookie", b"Upgrade",
         b"Sec-WebSocket-Key", b"X-MT5-Account-Id")  # fmt: skip
PLACES = (b"/api/positions", b"/api/ticks?symbols=", b"/api/order", b"/api/symbols", b"/ws?epoch=")


@settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    derandomize="MT5_FUZZ_SEED" not in os.environ, suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(
    place=st.sampled_from(PLACES), rest=paths, method=st.sampled_from([b"GET", b"POST", b"PATCH"]),
    headers=st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=4), body=st.binary(),
)  # fmt: skip
async def test_no_bytes_are_a_fault_of_ours(
    survivor: Survivor,
    place: bytes,
    rest: bytes,
    method: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    lines = [b"%b: %b" % header for header in headers]
    start = b"%b %b%b HTTP/1.1" % (method, place, rest)

    status = await sent(
        survivor.port, start, KEY, *lines, b"Content-Length: %d" % len(body), body=body
    )

    assert status not in (500, 0), (start, lines, body)
    await survivor.is_unharmed()
