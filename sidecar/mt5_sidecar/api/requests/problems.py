# SPDX-License-Identifier: Apache-2.0
"""Errors as clients see them: RFC 9457 problem documents, translated here and nowhere else."""

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mt5_sidecar import errors
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.orders.errors import OrderError
from mt5_sidecar.orders.retcodes import retcode_name

CONTENT_TYPE: Final = "application/problem+json"

Told = errors.BridgeError | OrderError
"""What a client is told: the orders have a tree of their own."""

STATUS: Final[Mapping[type[errors.BridgeError], HTTPStatus]] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.UnknownPath: HTTPStatus.NOT_FOUND,
    errors.UnknownMethod: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnknownSymbol: HTTPStatus.NOT_FOUND,
    errors.Misdirected: HTTPStatus.MISDIRECTED_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.TradingDisabled: HTTPStatus.FORBIDDEN,
    errors.OriginRefused: HTTPStatus.FORBIDDEN,
    errors.AccessUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TerminalUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TerminalTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    errors.TerminalRefused: HTTPStatus.BAD_GATEWAY,
    errors.SnapshotTooOld: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManySockets: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManySymbols: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OrderRefused: HTTPStatus.CONFLICT,
    errors.OrderNotSent: HTTPStatus.CONFLICT,
    errors.OutcomeUnknowable: HTTPStatus.CONFLICT,
    errors.Unexpected: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_FROM_AIOHTTP: Final[Mapping[int, type[errors.BridgeError]]] = {
    HTTPStatus.NOT_FOUND: errors.UnknownPath,
    HTTPStatus.METHOD_NOT_ALLOWED: errors.UnknownMethod,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.BodyTooLarge,
}


def slug(error: type[Told]) -> str:
    """Return the stable name of a class of errors: TerminalTimeout is `terminal-timeout`."""
    if issubclass(error, OrderError):
        return error.slug
    if error is errors.Unexpected:
        return "internal"
    return re.sub(r"(?<!^)(?=[A-Z])", "-", error.__name__).lower()


def status_of(error: type[Told]) -> HTTPStatus:
    """Return the HTTP status under which a class of errors is told."""
    return HTTPStatus(error.status) if issubclass(error, OrderError) else STATUS[error]


def document(error: Told) -> dict[str, Any]:
    """Return the problem as JSON fields; WebSocket errors carry the same."""
    kind = type(error)
    return {
        "type": f"/problems/{slug(kind)}",
        "title": _title(kind),
        "status": status_of(kind).value,
        "detail": error.detail,
        **error.extra,
        **_named(error.extra.get("retcode")),
    }


def refusal(request: web.Request, error: Told) -> web.Response:
    """Return what tells whoever made `request` of `error`."""
    return problem(error, retry_after_s=request.app[CONTEXT].settings.retry_after_s)


def problem(error: Told, *, retry_after_s: float) -> web.Response:
    """Return the answer that tells the client of `error`; `retry_after_s` is for a 503 that knows
    nothing better."""
    status = status_of(type(error))
    headers = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE or "retry_after_s" in error.extra:
        headers["Retry-After"] = str(math.ceil(error.extra.get("retry_after_s", retry_after_s)))
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="mt5-bridge"'
    if "allow" in error.extra:
        headers["Allow"] = ", ".join(error.extra["allow"])
    return web.Response(
        body=encode(document(error)), status=status, headers=headers, content_type=CONTENT_TYPE
    )


def _title(kind: type[Told]) -> str:
    # Order errors end their first line with what is in `type` and `status` already.
    return (kind.__doc__ or "").split("\n")[0].split(" Problem `")[0].rstrip(".")


def _named(retcode: int | None) -> dict[str, str]:
    return {"retcode_name": retcode_name(retcode)} if retcode else {}


def from_aiohttp(answer: web.HTTPException) -> errors.BridgeError:
    """Return our error for what aiohttp found wrong by itself."""
    if isinstance(answer, web.HTTPMethodNotAllowed):
        allow = sorted(answer.allowed_methods)
        return errors.UnknownMethod(f"use {' or '.join(allow)}", allow=allow)
    kind = _FROM_AIOHTTP.get(answer.status)
    if kind is None:
        kind = errors.InvalidRequest if answer.status < 500 else errors.Unexpected
    return kind(answer.reason)
