# SPDX-License-Identifier: Apache-2.0
"""Health and status: answered from memory, never from the terminal."""

import time
from platform import python_version

from aiohttp import web
from msgspec.structs import asdict

from mt5_sidecar import __version__
from mt5_sidecar.api.answers import JSON, Health, StatusAnswer, StreamHealth, Versions
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.domain.clock import now_ms, utc_iso
from mt5_sidecar.domain.encoding import encode


async def health(_: web.Request) -> web.Response:
    """Say that the sidecar is alive."""
    body = Health(status="ok", version=__version__, time=utc_iso(now_ms()))
    return web.Response(body=encode(body), content_type=JSON)


async def status(request: web.Request) -> web.Response:
    """Say how the account is connected, and why not."""
    return web.Response(body=encode(status_answer(request.app[CONTEXT])), content_type=JSON)


def status_answer(context: Context) -> StatusAnswer:
    """Return the connection in detail."""
    settings, seen = context.settings, context.terminal.connection
    contact_ms, fault = context.feed.contact_ms, context.office.journal_fault
    return StatusAnswer(
        **asdict(context.feed.status),
        account_id=settings.account_id,
        instance_id=settings.pod_name,
        login=settings.login,
        server=settings.server,
        platform=settings.platform,
        slot=settings.slot,
        credentials=seen.credentials,
        last_contact=utc_iso(contact_ms) if contact_ms else None,
        trade_allowed=seen.trade_allowed,
        trading_enabled=context.terminal.account_file.trading.enabled,
        journal=fault.slug if fault else "",
        utc_offset_s=context.feed.zone_s,
        utc_offset_sure=seen.utc_offset_sure,
        versions=versions(context),
        websocket_clients=len(context.sockets),
    )


def stream_health(context: Context) -> StreamHealth:
    """Return how the streams of this pod are."""
    metrics, status_ = context.metrics.streams, context.feed.status
    return StreamHealth(
        status="draining" if context.sockets.draining else "ok",
        version=__version__,
        time=utc_iso(now_ms()),
        uptime_s=round(time.monotonic() - context.started_s, 3),
        connected=status_.connected,
        stale=status_.stale,
        clients=len(context.sockets),
        clients_limit=context.settings.ws_max_sockets,
        slow_clients=sum(s.client.stalled_s is not None for s in context.sockets),
        messages=metrics.sent_total,
        conflated=metrics.held_back_total,
    )


def versions(context: Context) -> Versions:
    """Return what runs in this pod."""
    seen = context.terminal.connection.versions
    return Versions(
        sidecar=__version__,
        sidecar_python=python_version(),
        agent=seen.agent,
        python=seen.python,
        package=seen.package,
        terminal_build=seen.terminal_build,
        backend=seen.backend,
    )
