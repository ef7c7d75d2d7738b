# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import Awaitable, Callable

import pytest
import websockets
from sidecar_rig import KEY, Rig

from cluster.waiting import patience_s

RigWith = Callable[..., Awaitable[Rig]]
APP, OTHER = "https://app.example", "https://evil.example"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


def shared(answer) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("Access-Control-")}


@pytest.fixture
async def shop(rig_with: RigWith) -> Rig:
    rig = await rig_with(cors_origins=(APP,))
    await rig.connected()
    return rig


async def test_it_is_off_until_an_origin_is_named(bridge: Rig) -> None:
    read = await bridge.get("/api/account", headers={"Origin": APP})
    asked = await bridge.request("OPTIONS", "/api/order", headers={"Origin": APP} | ASKS)

    assert (read.status, shared(read)) == (200, {})
    assert "Vary" not in read.headers
    assert (asked.status, shared(asked)) == (405, {})


async def test_a_listed_page_is_told_what_it_may_send_and_reads_the_answer(shop: Rig) -> None:
    asked = await shop.request("OPTIONS", "/api/order", key=None, headers={"Origin": APP} | ASKS)
    read = await shop.get("/api/account", headers={"Origin": APP})
    refused = await shop.get("/api/account", key="nobody", headers={"Origin": APP})

    assert asked.status == 204
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    assert "X-API-Key" in asked.headers["Access-Control-Allow-Headers"]
    assert "Idempotency-Key" in asked.headers["Access-Control-Allow-Headers"]
    assert asked.headers["Access-Control-Max-Age"] == "600"
    for answer in (asked, read, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert answer.headers["Vary"] == "Origin"
        # Nobody is let in by a cookie.
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "ETag" in read.headers["Access-Control-Expose-Headers"].replace("Etag", "ETag")
    assert refused.status == 401


@pytest.mark.parametrize("named", [APP, "*"])
@pytest.mark.parametrize("origin", [b"\xff", b"http://[", b"http://\xc3\xa4.example"])
async def test_an_origin_that_is_none_is_answered_like_any_other_page(
    rig_with: RigWith, named: str, origin: bytes
) -> None:
    rig = await rig_with(cors_origins=(named,))
    await rig.connected()
    wanted = {"/api/account": b"200 OK", "/ws": b"403 Forbidden", "/api/nothing": b"404 Not Found"}
    if named == "*" and origin.isascii():
        wanted["/ws"] = b"101 Switching Protocols"

    for path, status in wanted.items():
        answer = await answered(rig, path, origin)

        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert (b"Access-Control-Allow-Origin" in answer) == (
            named == "*" and origin.isascii() and path != "/ws"
        )


async def answered(rig: Rig, path: str, origin: bytes) -> bytes:
    """Return the head of the answer to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.sidecar.api_port)
    upgrade = b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    who = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n".encode()
    writer.write(who + b"Origin: " + origin + b"\r\n" + (upgrade + key) * (path == "/ws") + b"\r\n")
    async with asyncio.timeout(patience_s(5)):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    return head


async def test_another_page_is_told_nothing(shop: Rig) -> None:
    asked = await shop.request("OPTIONS", "/api/order", headers={"Origin": OTHER} | ASKS)
    read = await shop.get("/api/account", headers={"Origin": OTHER})

    assert (asked.status, shared(asked)) == (405, {})
    assert shared(read) == {}
    assert read.headers["Vary"] == "Origin"


async def test_a_path_that_is_not_there_is_404_for_a_preflight_too(shop: Rig) -> None:
    asked = await shop.request("OPTIONS", "/nowhere", headers={"Origin": APP} | ASKS)

    assert (asked.status, asked.problem) == (404, "/problems/unknown-path")


async def test_any_origin_may_be_named(rig_with: RigWith) -> None:
    rig = await rig_with(cors_origins=("*",))

    answer = await rig.get("/api/health", headers={"Origin": OTHER})

    assert answer.headers["Access-Control-Allow-Origin"] == OTHER


async def test_a_stream_is_opened_for_listed_pages_our_own_host_and_who_is_no_page(
    shop: Rig,
) -> None:
    own = f"http://127.0.0.1:{shop.sidecar.api_port}"
    for origin in (APP, own, None):
        await shop.ws(origin=origin)

    with pytest.raises(websockets.exceptions.InvalidStatus) as refusal:
        await shop.ws(origin=OTHER)

    assert refusal.value.response.status_code == 403
    assert b"/problems/origin-refused" in refusal.value.response.body


async def test_origins_change_without_a_restart(bridge: Rig) -> None:
    bridge.put("access/mt5_bridge.yaml", f"cors_origins: ['{APP}']\n")
    await bridge.reloads()

    answer = await bridge.get("/api/account", headers={"Origin": APP})

    assert answer.headers["Access-Control-Allow-Origin"] == APP
