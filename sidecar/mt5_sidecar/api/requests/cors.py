# SPDX-License-Identifier: Apache-2.0
"""Which web pages may call: Cross-Origin Resource Sharing, off while no origin is named.

Callers prove themselves by a header that no browser sends by itself, so an origin that is not
listed can harm nobody: its page does not get to read the answer, and cannot send the header.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from mt5_sidecar.errors import OriginRefused
from mt5_sidecar.settings import Settings

ANY: Final = "*"
ACCEPTED: Final = ", ".join(
    (
        hdrs.AUTHORIZATION,
        hdrs.CONTENT_TYPE,
        "Idempotency-Key",
        hdrs.IF_NONE_MATCH,
        "traceparent",
        "X-API-Key",
        "X-Request-Id",
    )
)
EXPOSED: Final = ", ".join((hdrs.ETAG, hdrs.LOCATION, hdrs.RETRY_AFTER, "X-Request-Id"))


def listed(settings: Settings, origin: str) -> bool:
    """Say whether pages of `origin` may call."""
    # No browser sends another one, and it could not be sent back in a header.
    plain = origin.isascii() and origin.isprintable()
    return plain and (origin in settings.cors_origins or ANY in settings.cors_origins)


def share(settings: Settings, origin: str, answer: web.StreamResponse) -> None:
    """Let a page of `origin` read `answer`, if it is listed."""
    if not settings.cors_origins:
        return
    # A cache must not show one origin what another was told, the refused ones included.
    answer.headers.add(hdrs.VARY, hdrs.ORIGIN)
    if listed(settings, origin):
        answer.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        answer.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED


def is_preflight(settings: Settings, request: web.Request) -> bool:
    """Say whether a browser asks for a listed page what it may send."""
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        and listed(settings, request.headers.get(hdrs.ORIGIN, ""))
    )


def preflight(settings: Settings, allowed: Iterable[str]) -> web.Response:
    """Answer what may be sent; `share` says to whom."""
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(allowed)),
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ACCEPTED,
        hdrs.ACCESS_CONTROL_MAX_AGE: f"{settings.cors_max_age_s:.0f}",
    }
    return web.Response(status=204, headers=headers)


def demand_origin(settings: Settings, request: web.Request) -> None:
    """Return if the page that opens a WebSocket, if one does, is listed or our own host's.

    Raises:
        OriginRefused: It is another one, and origins are named.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or not settings.cors_origins or listed(settings, origin):
        return
    # Some libraries that are no browser name the host that they call.
    if _host(origin) != request.host:
        shown = origin[:128].encode("ascii", "replace").decode()
        raise OriginRefused("pages of this origin may not open a stream", origin=shown)


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
