# SPDX-License-Identifier: Apache-2.0
"""An operation: the one way to a route, so that none can forget to ask who calls.

The same table makes routes, aliases, OpenAPI and the test that goes through all of them.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.requests.middleware import PRINCIPAL, Handler, outermost
from mt5_sidecar.api.requests.parameters import demand_declared
from mt5_sidecar.api.requests.problems import slug
from mt5_sidecar.auth.access import BEARER
from mt5_sidecar.auth.principal import Principal, Scope
from mt5_sidecar.errors import BridgeError, Forbidden

KEY_HEADER: Final = "X-API-Key"

ASKS_TERMINAL: Final = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
"""What becomes of an operation that waits for the terminal's own answer."""

_GUARDED: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
_PARSED: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.NOT_FOUND,
        *ASKS_TERMINAL,
    }
)
_TRADED: Final = frozenset({HTTPStatus.CONFLICT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method and path, who may call it, and what answers."""

    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope | None = Scope.READ
    """None: open to everybody, and therefore silent about the account."""
    answers: Any = None
    """The type of the 200 answer, for OpenAPI."""
    accepts: Any = None
    """The type of the request's body."""
    keyed: bool = False
    """It is carried out once per Idempotency-Key, and may answer 202."""
    query: tuple[str, ...] = ()
    query_aliases: tuple[str, ...] = ()
    """Other names of these, which OpenAPI does not show."""
    may: frozenset[HTTPStatus] = frozenset()
    """Statuses of its own; those of its scope, body and key are known from these (`statuses`)."""
    aliases: tuple[str, ...] = ()
    websocket: bool = False

    @property
    def statuses(self) -> frozenset[HTTPStatus]:
        """Return every status of a problem that it may answer with, as OpenAPI lists them."""
        # Any may name two accounts (`middleware.of_another`).
        found = self.may | {HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.BAD_REQUEST}
        if self.scope is not None:
            found |= _GUARDED
        if self.accepts is not None:
            found |= _PARSED
        if self.keyed:
            found |= _TRADED
        return found

    def routes(self) -> list[web.RouteDef]:
        """Return the operation's route and those of its aliases."""
        inner = self.handler
        if self.scope is not None:
            # A trade looks at its parameters itself, together with its body.
            known = (*self.query, *self.query_aliases)
            asked = declared(inner, known) if self.method == "GET" else inner
            inner = guarded(asked, self.scope)
        handler = outermost(inner, route=self.path)
        # HEAD has no use here, and aiohttp would add it to every GET.
        extra: dict[str, Any] = {"allow_head": False} if self.method == "GET" else {}
        paths = (self.path, *self.aliases)
        return [web.RouteDef(self.method, path, handler, extra) for path in paths]


def declared(handler: Handler, names: tuple[str, ...]) -> Handler:
    """Return `handler` for requests with no other parameters than `names`."""

    def known(request: web.Request) -> Awaitable[web.StreamResponse]:
        if "?" in request.raw_path:
            demand_declared(request, names)
        return handler(request)

    return known


def guarded(handler: Handler, scope: Scope) -> Handler:
    """Return `handler` behind the question who calls, and whether they may.

    Not a coroutine around another: that alone costs half as much as the question does for a caller
    who was asked within the second.
    """

    def guard(request: web.Request) -> Awaitable[web.StreamResponse]:
        context, presented = request.app[CONTEXT], presented_key(request)
        principal = context.access.recent(presented)
        if principal is None:
            return asked(request, context, presented)
        _admit(request, context, principal, scope)
        return handler(request)

    async def asked(request: web.Request, context: Context, presented: str) -> web.StreamResponse:
        try:
            principal = await context.access.identified(presented)
        except BridgeError as error:
            _count(context, error)
            raise
        _admit(request, context, principal, scope)
        return await handler(request)

    return guard


def _admit(request: web.Request, context: Context, principal: Principal, scope: Scope) -> None:
    request[PRINCIPAL] = principal
    try:
        _demand(context, principal, scope)
        context.limits.take(principal.subject)
    except BridgeError as error:
        _count(context, error)
        raise
    context.metrics.http.accepted.inc()


def _demand(context: Context, principal: Principal, scope: Scope) -> None:
    try:
        context.access.demand(principal, scope)
    except Forbidden:
        # Keys of other accounts may not use up what this one's callers have.
        context.limits.take(principal.subject, refused=True)
        raise


def _count(context: Context, refusal: BridgeError) -> None:
    context.metrics.http.sign_ins.labels(slug(type(refusal))).inc()


def presented_key(request: web.Request) -> str:
    """Return the API key or token that came with the request, empty when none did."""
    key = request.headers.get(KEY_HEADER)
    if key is not None:
        return key
    authorization = request.headers.get("Authorization", "")
    is_bearer = authorization[: len(BEARER)].lower() == BEARER.lower()
    return authorization[len(BEARER) :].strip() if is_bearer else ""


def caller(request: web.Request) -> Principal:
    """Return who calls; for handlers of operations that have a scope."""
    return request[PRINCIPAL]


def in_turn(handler: Handler) -> Handler:
    """Return `handler`, called for one request at a time."""

    async def taken(request: web.Request) -> web.StreamResponse:
        async with request.app[CONTEXT].turns.next(caller(request).subject):
            return await handler(request)

    return taken
