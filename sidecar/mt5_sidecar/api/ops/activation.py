# SPDX-License-Identifier: Apache-2.0
"""Which slot trades: the operator's calls on port 8081 (docs/internals.md)."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from mt5_sidecar.api.answers import JSON
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.requests.middleware import Handler
from mt5_sidecar.api.requests.operation import presented_key
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.errors import InvalidRequest
from mt5_sidecar.orders import OrderDesk
from mt5_sidecar.orders.errors import OrderError
from mt5_sidecar.orders.office import Office

Act = Callable[[OrderDesk, web.Request], Awaitable[bytes | bytearray]]


class Epoch(msgspec.Struct, frozen=True):
    """The body of an activation."""

    epoch: Annotated[int, msgspec.Meta(ge=1, le=2**53)]


def _guarded(act: Act) -> Handler:
    async def guard(request: web.Request) -> web.StreamResponse:
        context = request.app[CONTEXT]
        context.access.admit_operator(presented_key(request))
        body = await act(context.office.desk, request)
        return web.Response(body=body, content_type=JSON)

    return guard


async def _state(desk: OrderDesk, _: web.Request) -> bytes:
    return encode(_told(desk))


async def _activate(desk: OrderDesk, request: web.Request) -> bytes:
    try:
        wanted = msgspec.json.decode(await request.read(), type=Epoch)
    except msgspec.DecodeError as error:
        raise InvalidRequest(str(error)) from error
    await desk.activation.activate(wanted.epoch)
    return encode(_told(desk))


async def _fence(desk: OrderDesk, _: web.Request) -> bytes:
    await desk.activation.fence()
    return encode(_told(desk))


async def _export(desk: OrderDesk, _: web.Request) -> bytearray:
    if desk.activation.active:
        raise InvalidRequest("this slot trades: fence it first, or what it sends now is missing")
    return await desk.activation.export()


async def _adopt(desk: OrderDesk, request: web.Request) -> bytes:
    if desk.activation.active:
        raise InvalidRequest("this slot trades: a journal is adopted before it is activated")
    await desk.activation.adopt(await request.read())
    return encode(_told(desk))


def orders_of(office: Office) -> dict[str, Any] | None:
    """Return the answer of `GET /internal/orders`; None while the journal cannot be used."""
    try:
        return _told(office.desk)
    except OrderError:
        return None


def _told(desk: OrderDesk) -> dict[str, Any]:
    return {
        "epoch": desk.activation.epoch,
        "active": desk.activation.active,
        "ready": desk.ready,
        "unknown": len(desk.unknown),
    }


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/internal/orders", _guarded(_state)),
    ("POST", "/internal/orders/activate", _guarded(_activate)),
    ("POST", "/internal/orders/fence", _guarded(_fence)),
    ("GET", "/internal/orders/journal", _guarded(_export)),
    ("PUT", "/internal/orders/journal", _guarded(_adopt)),
)
"""The operator's routes to the order desk."""
