# SPDX-License-Identifier: Apache-2.0
"""Port 8081: for kubelet, Prometheus and the operator. Never routed to clients."""

import time
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from mt5_sidecar.api.answers import JSON
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.ops.activation import orders_of
from mt5_sidecar.api.reads.status import versions
from mt5_sidecar.api.requests.middleware import Handler
from mt5_sidecar.api.requests.operation import presented_key
from mt5_sidecar.api.requests.problems import refusal
from mt5_sidecar.domain.clock import utc_iso
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.errors import Draining, Unexpected
from mt5_sidecar.orders.errors import JournalError


async def healthz(request: web.Request) -> web.Response:
    """Say that our own loop runs; the broker has no part in it."""
    context = request.app[CONTEXT]
    settings = context.settings
    silent_s = time.monotonic() - context.pulse.at_s
    if silent_s > settings.file_poll_interval_s + settings.loop_silence_timeout_s:
        return refusal(request, Unexpected(f"no housekeeping for {silent_s:.0f} s"))
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Say whether the account is logged in and synchronised."""
    context = request.app[CONTEXT]
    if context.sockets.draining:
        return refusal(request, Draining("the pod is going away"))
    if not context.terminal.connection.connected:
        return refusal(request, context.terminal.unavailable())
    return web.Response(text="ok\n")


async def metrics(request: web.Request) -> web.Response:
    """Answer with all metrics."""
    body = request.app[CONTEXT].metrics.exposition()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def state(request: web.Request) -> web.Response:
    """Tell the operator how the account is; needs its token."""
    context = request.app[CONTEXT]
    context.access.admit_operator(presented_key(request))
    return web.Response(body=encode(state_answer(context)), content_type=JSON)


def state_answer(context: Context) -> dict[str, Any]:
    """Return the state as docs/internals.md has it."""
    settings, seen = context.settings, context.terminal.connection
    return {
        "account_id": settings.account_id,
        "login": settings.login,
        "server": settings.server,
        "pod_uid": settings.pod_uid,
        "slot": settings.slot,
        "platform": settings.platform,
        "state": seen.state,
        "reason": seen.reason,
        "message": seen.message,
        "connected": seen.connected,
        "credentials": seen.credentials,
        "trade_allowed": seen.trade_allowed,
        "trade_message": seen.trade_message,
        "selftest": seen.selftest,
        "since": utc_iso(context.terminal.since_ms),
        "last_contact": _moment(context.feed.contact_ms),
        "versions": versions(context),
        "files": {**context.terminal.file_versions, "access": context.access.version},
        "evidence": context.evidence.answer(),
        "orders": orders_of(context.office),
        "journal": _told(context.office.journal_fault),
    }


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/healthz", healthz),
    ("GET", "/readyz", readyz),
    ("GET", "/metrics", metrics),
    ("GET", "/internal/state", state),
)


def _told(fault: JournalError | None) -> str:
    return f"{fault.slug}: {fault.detail}" if fault else ""


def _moment(epoch_ms: int) -> str | None:
    return utc_iso(epoch_ms) if epoch_ms else None
