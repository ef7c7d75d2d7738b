# SPDX-License-Identifier: Apache-2.0
"""A look at a sidecar: one request, and a second only to one of an older version."""

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

    async def state(request: web.Request) -> web.Response:
        told.asked.append(request.path)
        return web.json_response(told.state)

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
    async with HttpSidecars(lambda _: "t", timeout_s=5, override=sidecar.address) as sidecars:
        return (await sidecars.state(POD)).orders


async def test_a_look_is_one_request(sidecar: Any) -> None:
    sidecar.state["orders"] = ORDERS

    assert await look(sidecar) == TRADES
    assert sidecar.asked == ["/internal/state"]


async def test_a_sidecar_without_a_journal_is_not_asked_again(sidecar: Any) -> None:
    sidecar.state["orders"] = None

    assert await look(sidecar) is None
    assert sidecar.asked == ["/internal/state"]


@pytest.mark.parametrize(("status", "seen"), [(200, TRADES), (503, None)])
async def test_an_older_sidecar_is_asked_for_its_orders(
    sidecar: Any, status: int, seen: OrdersSeen | None
) -> None:
    sidecar.orders = status

    assert await look(sidecar) == seen
    assert sidecar.asked == ["/internal/state", "/internal/orders"]


async def test_orders_that_are_none_are_no_look(sidecar: Any) -> None:
    sidecar.state["orders"] = {"epoch": "three"}

    with pytest.raises(SidecarUnreachable):
        await look(sidecar)
