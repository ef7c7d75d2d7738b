# SPDX-License-Identifier: Apache-2.0
"""A look at a sidecar: one request, and a second only to one of an older version."""

import contextlib
import gzip
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mt5_operator.errors import SidecarUnreachable
from mt5_operator.sidecars.client import HttpSidecars, Target
from mt5_operator.status.seen import OrdersSeen

POD = Target("uid-1", "10.0.0.1")
TRADES = OrdersSeen(epoch=3, active=True)
ORDERS = {"epoch": 3, "active": True, "ready": True, "unknown": 0}


@pytest.fixture
async def sidecar() -> AsyncIterator[Any]:
    """What a sidecar answers, and what it was asked."""
    told = SimpleNamespace(state={"state": "Connected", "pod_uid": POD.uid}, orders=200, asked=[])
    told.endless, told.sent, told.elsewhere = False, 0, ""

    async def state(request: web.Request) -> web.StreamResponse:
        told.asked.append(request.path)
        if told.elsewhere:
            raise web.HTTPTemporaryRedirect(told.elsewhere)
        if told.endless:
            return await endless(request)
        return web.json_response(told.state)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=told.status)
        if told.packed:
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        more = gzip.compress(b" " * 50_000_000) if told.packed else b" " * 100_000
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                await response.write(more)
                told.sent += len(more)
        return response

    async def orders(request: web.Request) -> web.Response:
        told.asked.append(request.path)
        return web.json_response(ORDERS, status=told.orders)

    app = web.Application()
    app.router.add_get("/internal/state", state)
    app.router.add_get("/internal/orders", orders)
    async with TestServer(app) as server:
        told.address = f"127.0.0.1:{server.port}"
        yield told


async def look(sidecar: Any) -> OrdersSeen | None:
    async with HttpSidecars(
        lambda _: "t", timeout_s=5, answer_max_bytes=100_000, override=sidecar.address
    ) as sidecars:
        return (await sidecars.state(POD)).orders


async def test_a_look_is_one_request(sidecar: Any) -> None:
    sidecar.state["orders"] = ORDERS

    assert await look(sidecar) == TRADES
    assert sidecar.asked == ["/internal/state"]


async def test_a_sidecar_without_a_journal_is_not_asked_again(sidecar: Any) -> None:
    sidecar.state["orders"] = None

    assert await look(sidecar) is None
    assert sidecar.asked == ["/internal/state"]


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ({"orders": None, "journal": "journal-busy: x"}, "journal-busy: x"),
        ({"orders": ORDERS, "journal": "journal-failed: x"}, "journal-failed: x"),
        ({"orders": None, "journal": ""}, ""),  # it is just being opened, or closed
        ({"orders": None}, "its log says why"),  # of an earlier version
        ({"orders": ORDERS}, ""),
    ],
)
async def test_what_is_wrong_with_a_journal_is_heard(
    sidecar: Any, told: dict[str, Any], seen: str
) -> None:
    sidecar.state |= told

    async with HttpSidecars(
        lambda _: "t", timeout_s=5, answer_max_bytes=100_000, override=sidecar.address
    ) as sidecars:
        assert (await sidecars.state(POD)).journal == seen


@pytest.mark.parametrize(("status", "seen"), [(200, TRADES), (503, None)])
async def test_an_older_sidecar_is_asked_for_its_orders(
    sidecar: Any, status: int, seen: OrdersSeen | None
) -> None:
    sidecar.orders = status

    assert await look(sidecar) == seen
    assert sidecar.asked == ["/internal/state", "/internal/orders"]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_without_an_end_is_no_answer(
    sidecar: Any, status: int, *, packed: bool
) -> None:
    # Whoever may make pods in a namespace may answer there in a sidecar's place.
    sidecar.endless, sidecar.status, sidecar.packed = True, status, packed

    with pytest.raises(SidecarUnreachable):
        await look(sidecar)

    assert sidecar.sent < 5_000_000


async def test_nobody_sends_the_operator_elsewhere(sidecar: Any) -> None:
    sidecar.elsewhere = "/internal/orders"  # or the address of a cloud's metadata

    with pytest.raises(SidecarUnreachable, match="307"):
        await look(sidecar)

    assert sidecar.asked == ["/internal/state"]


async def test_orders_that_are_none_are_no_look(sidecar: Any) -> None:
    sidecar.state["orders"] = {"epoch": "three"}

    with pytest.raises(SidecarUnreachable):
        await look(sidecar)
