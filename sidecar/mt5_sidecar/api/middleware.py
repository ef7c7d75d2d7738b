# SPDX-License-Identifier: Apache-2.0
"""What is true of every request: it has an id, is for this account, is counted, and every error
becomes a problem document."""

import os
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from mt5_sidecar import errors
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.problems import Told, from_aiohttp, problem
from mt5_sidecar.auth.principal import Principal
from mt5_sidecar.logs import bound, logger
from mt5_sidecar.orders.errors import OrderError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ID: Final = web.RequestKey("id", str)
PRINCIPAL: Final = web.RequestKey("principal", Principal)

ACCOUNT_HEADER: Final = "X-MT5-Account-Id"
REQUEST_ID_HEADER: Final = "X-Request-Id"
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What aiohttp raises for a body in a broken encoding, and for one whose sender is gone.
_UNREADABLE: Final = (web.RequestPayloadError, ConnectionResetError)
# Counted under one name: a scanner's paths must not become label values.
NO_ROUTE: Final = "none"


@web.middleware
async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every request, whatever happens."""
    started_s = time.perf_counter()
    request_id = _request_id(request)
    request[ID] = request_id
    answer = await _answer(request, handler)
    if not answer.prepared:
        answer.headers[REQUEST_ID_HEADER] = request_id
        answer.headers.setdefault("Cache-Control", "no-store")
    seconds = time.perf_counter() - started_s
    route = _route(request)
    request.app[CONTEXT].metrics.answered(request.method, route, answer.status, seconds=seconds)
    return answer


def for_this_account(request: web.Request) -> None:
    """Return if the request was routed for this pod's account.

    Raises:
        Misdirected: the router's table was older than the pod.
    """
    mine = request.app[CONTEXT].settings.account_id
    named = (request.headers.get(ACCOUNT_HEADER), request.query.get("account_id"))
    if any(name is not None and name != mine for name in named):
        raise errors.Misdirected("this pod is another account's")


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        for_this_account(request)
        return await handler(request)
    except (errors.BridgeError, OrderError) as error:
        return _told(request, error)
    except web.HTTPException as error:
        return _told(request, from_aiohttp(error))
    except _UNREADABLE:
        return _told(request, errors.InvalidRequest("the body does not end, or is not as it says"))
    except Exception:  # noqa: BLE001  the last door: the fault is logged and told
        with bound(request_id=request[ID]):
            logger.exception("unexpected_error", method=request.method, route=_route(request))
        return problem(errors.Unexpected("see the sidecar's log", request_id=request[ID]))


def _told(request: web.Request, error: Told) -> web.Response:
    answer = problem(error)
    with bound(request_id=request[ID]):
        logger.info(
            "refused",
            method=request.method,
            route=_route(request),
            status=answer.status,
            problem=type(error).__name__,
            subject=_subject(request),
        )
    return answer


def _subject(request: web.Request) -> str:
    return request[PRINCIPAL].subject if PRINCIPAL in request else ""


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else NO_ROUTE


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
