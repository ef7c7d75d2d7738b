# SPDX-License-Identifier: Apache-2.0
"""What is true of every request: it has an id, is for this account, is counted, and every error
becomes a problem document."""

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Final

from aiohttp import web

from mt5_sidecar import errors
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.requests import cors
from mt5_sidecar.api.requests.problems import Told, from_aiohttp, refusal
from mt5_sidecar.auth.principal import Principal
from mt5_sidecar.logs import bound, logger
from mt5_sidecar.orders.errors import OrderError
from mt5_sidecar.tracing import HEADER, Tracing, id_of, of_caller, trace_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ID: Final = web.RequestKey("id", str)
TRACE: Final = web.RequestKey("trace", str)
ROUTE: Final = web.RequestKey("route", str)
PRINCIPAL: Final = web.RequestKey("principal", Principal)

ACCOUNT_HEADER: Final = "X-MT5-Account-Id"
ACCOUNT_FIELD: Final = "account_id"
REQUEST_ID_HEADER: Final = "X-Request-Id"
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType({})
# Holds nothing, so one serves all requests.
_NO_TRACE: Final = nullcontext()
# What aiohttp raises for a body in a broken encoding, and for one whose sender is gone.
_UNREADABLE: Final = (web.RequestPayloadError, ConnectionResetError)
# Counted under one name: a scanner's paths must not become label values.
NO_ROUTE: Final = "none"


def outermost(handler: Handler, *, route: str) -> Handler:
    """Return `handler` made to answer every request, whatever happens, and counted as `route`.

    It is put around each handler by hand: aiohttp's own middlewares cost three calls more.
    """

    async def answered(request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        request[ID] = request_id = _request_id(request)
        request[ROUTE] = route
        tracing = request.app[CONTEXT].tracing
        if tracing.tracer is None:
            parent = request.headers.get(HEADER, "")
            request[TRACE] = trace_id(parent) if parent else ""
            with of_caller(parent) if request[TRACE] else _NO_TRACE:
                answer = await _answer(request, handler)
        else:
            answer = await _traced(request, handler, tracing, route)
        if not answer.prepared:
            answer.headers[REQUEST_ID_HEADER] = request_id
            answer.headers.setdefault("Cache-Control", "no-store")
            if (origin := request.headers.get("Origin")) is not None:
                cors.share(request.app[CONTEXT].settings, origin, answer)
        seconds = time.perf_counter() - started_s
        request.app[CONTEXT].metrics.http.answered(
            request.method, route, answer.status, seconds=seconds
        )
        return answer

    return answered


def all_else() -> web.RouteDef:
    """Return the route of what no other route takes, to be added last: 404, or 405."""
    return web.route("*", r"/{anything:[\s\S]*}", outermost(_no_route, route=NO_ROUTE))


async def _no_route(request: web.Request) -> web.StreamResponse:
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            _, methods = await resource.resolve(request)
            allowed |= methods
    settings = request.app[CONTEXT].settings
    if allowed and cors.is_preflight(settings, request):
        return cors.preflight(settings, allowed)
    if allowed:
        raise errors.UnknownMethod(f"use {' or '.join(sorted(allowed))}", allow=sorted(allowed))
    raise errors.UnknownPath("Not Found")


def named(request: web.Request) -> dict[str, str]:
    """Return what its log lines are found by: the request's id, and its trace's if any."""
    trace = {"trace_id": request[TRACE]} if request[TRACE] else {}
    return {"request_id": request[ID], **trace}


async def _traced(
    request: web.Request, handler: Handler, tracing: Tracing, route: str
) -> web.StreamResponse:
    with tracing.request(request.method, route, request.headers) as span:
        request[TRACE] = id_of(span)
        answer = await _answer(request, handler)
        span.set_attribute("http.response.status_code", answer.status)
        span.set_attribute("mt5.request_id", request[ID])
        return answer


def for_this_account(request: web.Request) -> None:
    """Return if the request was routed for this pod's account.

    Raises:
        Misdirected: the router's table was older than the pod.
        InvalidRequest: as `of_another`.
    """
    mine = request.app[CONTEXT].settings.account_id
    if request.headers.get(ACCOUNT_HEADER, mine) != mine:
        raise errors.Misdirected("this pod is another account's")
    if parameters(request).get(ACCOUNT_FIELD, mine) != mine:
        raise of_another(request)


def of_another(request: web.Request) -> errors.CallerError:
    """Return the error of a request that names another account in its query or body.

    The router has seen that the pod is the right one, and reads no body: sent through it again, as
    it asks for after 421, the request would never be another one.
    """
    if ACCOUNT_HEADER in request.headers:
        return errors.InvalidRequest("the request names two accounts")
    return errors.Misdirected("this pod is another account's")


def parameters(request: web.Request) -> Mapping[str, str]:
    """Return `request.query`, which takes 2 us to find that there is none."""
    return request.query if "?" in request.raw_path else _NO_PARAMETERS


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
        with bound(**named(request)):
            logger.exception("unexpected_error", method=request.method, route=request[ROUTE])
        return refusal(request, errors.Unexpected("see the sidecar's log", request_id=request[ID]))


def _told(request: web.Request, error: Told) -> web.Response:
    answer = refusal(request, error)
    with bound(**named(request)):
        logger.info(
            "refused",
            method=request.method,
            route=request[ROUTE],
            status=answer.status,
            problem=type(error).__name__,
            subject=_subject(request),
            **limit_of(error),
        )
    return answer


def limit_of(error: Told) -> dict[str, str]:
    """Return the limit that was met, for a log line: whose it is decides who must act."""
    limit = error.extra.get("limit")
    return {} if limit is None else {"limit": str(limit)}


def _subject(request: web.Request) -> str:
    return request[PRINCIPAL].subject if PRINCIPAL in request else ""


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID_HEADER)
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    # A name for log lines, and no secret: the operating system need not be asked for each.
    return f"{random.getrandbits(64):016x}"
