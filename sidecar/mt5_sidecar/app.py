# SPDX-License-Identifier: Apache-2.0
"""Puts a sidecar together, starts it, and ends it without losing a client's place."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from aiohttp.log import server_logger

from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.context.catalogue import Catalogue
from mt5_sidecar.api.fetch import fetch
from mt5_sidecar.api.limits.requests import Limits
from mt5_sidecar.api.limits.selected import Selected
from mt5_sidecar.api.limits.turns import Turns
from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.api.ops import activation, probes
from mt5_sidecar.api.requests.middleware import all_else, outermost
from mt5_sidecar.api.requests.unreadable import UNREADABLE
from mt5_sidecar.api.schemas.asyncapi import ASYNCAPI, described_streams
from mt5_sidecar.api.schemas.document import Document
from mt5_sidecar.api.schemas.openapi import OPENAPI, described
from mt5_sidecar.auth.access import Access
from mt5_sidecar.auth.signing_keys import Fetch
from mt5_sidecar.housekeeping import Housekeeping
from mt5_sidecar.logs import logger
from mt5_sidecar.metrics import Metrics
from mt5_sidecar.orders.office import Office
from mt5_sidecar.reloading import Reloading
from mt5_sidecar.settings import Settings
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.codes import Close
from mt5_sidecar.streams.feed import Feed
from mt5_sidecar.streams.reads import Reads
from mt5_sidecar.terminal.evidence import EvidenceKeeper
from mt5_sidecar.terminal.terminal import Terminal
from mt5_sidecar.tracing import tracing


def create_context(settings: Settings) -> Context:
    """Return the parts of a sidecar, put together and not yet started."""
    metrics = Metrics()
    traces = tracing(settings)
    terminal = Terminal(settings, metrics, traces)
    board = Board(max_events=settings.ws_ring_events)
    feed = Feed(settings, terminal, board, metrics)
    return Context(
        settings=settings,
        metrics=metrics,
        access=Access(settings, _issuers_keys(settings)),
        terminal=terminal,
        evidence=EvidenceKeeper(settings, terminal),
        board=board,
        feed=feed,
        reads=Reads(board, feed, metrics.account),
        catalogue=Catalogue(settings, terminal),
        limits=Limits(settings),
        selected=Selected(settings),
        turns=Turns(settings),
        tracing=traces,
        office=Office(settings, terminal, metrics.orders, on_outcome=feed.traded),
    )


def _issuers_keys(settings: Settings) -> Fetch:
    return partial(
        fetch, timeout_s=settings.jwt_jwks_timeout_s, limit_bytes=settings.jwt_jwks_limit_bytes
    )


def create_api(context: Context) -> web.Application:
    """Return what answers on port 8080."""
    app = web.Application(client_max_size=context.settings.body_limit_bytes)
    app[CONTEXT] = context
    app[OPENAPI] = Document(partial(described, OPERATIONS))
    app[ASYNCAPI] = Document(partial(described_streams, OPERATIONS))
    for operation in OPERATIONS:
        app.add_routes(operation.routes())
    app.add_routes([all_else()])
    return app


def create_ops(context: Context) -> web.Application:
    """Return what answers on port 8081."""
    app = web.Application(client_max_size=context.settings.journal_limit_bytes)
    app[CONTEXT] = context
    for method, path, handler in (*probes.ROUTES, *activation.ROUTES):
        app.add_routes([web.route(method, path, outermost(handler, route=path))])
    app.add_routes([all_else()])
    return app


class Sidecar:
    """A sidecar with its three ports."""

    def __init__(
        self, settings: Settings, again: Callable[[], Awaitable[Settings]] | None = None
    ) -> None:
        """Put one together; `again` reads the settings anew when one of their files changes."""
        self.context = create_context(settings)
        reloading = None if again is None else Reloading(self.context, again)
        self.housekeeping = Housekeeping(self.context, reloading)
        self._runners: list[web.AppRunner] = []
        self._keeper: asyncio.Task[None] | None = None
        self.api_port = self.ops_port = 0

    async def start(self) -> None:
        """Listen on all three ports; the agent's first, so that it never meets a closed door."""
        settings = self.context.settings
        await self.context.terminal.start()
        self.housekeeping.look()
        await self.context.office.start()
        self._keeper = asyncio.create_task(self.housekeeping.run())
        self.ops_port = await self._listen(
            create_ops(self.context), settings.ops_host, settings.ops_port
        )
        self.api_port = await self._listen(
            create_api(self.context), settings.api_host, settings.api_port
        )
        account = f"{settings.namespace}/{settings.account_name}"
        logger.info("started", account=account, api_port=self.api_port, ops_port=self.ops_port)

    async def stop(self) -> None:
        """Finish the trade in the call, send streams elsewhere, let go of the agent."""
        self.context.sockets.draining = True
        await self.context.office.stop()
        await self._close_streams()
        for runner in reversed(self._runners):
            await runner.cleanup()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self.housekeeping.stop()
        await self.context.access.stop()
        await self.context.feed.contracts.stop()
        await self.context.feed.deals.stop()
        await self.context.sockets.finished()
        await self.context.terminal.stop()
        await self.context.evidence.stop()
        await asyncio.to_thread(self.context.tracing.stop)
        logger.info("stopped")

    async def _close_streams(self) -> None:
        """Close with 1012, spread over the jitter: a thousand clients must not return at once."""
        loop = asyncio.get_running_loop()
        for socket in self.context.sockets:
            delay_s = random.uniform(0, self.context.settings.drain_jitter_s)  # noqa: S311
            loop.call_later(delay_s, socket.client.close, Close.RESTART, "the pod is going away")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.context.settings.stop_timeout_s):
                await self.context.sockets.emptied()

    async def _listen(self, app: web.Application, host: str, port: int) -> int:
        server_logger.addFilter(UNREADABLE)
        settings = self.context.settings
        limit = settings.header_limit_bytes
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=settings.connection_idle_timeout_s,
            shutdown_timeout=settings.request_stop_timeout_s,
            # Bodies are inflated as they come, before anybody asks who sends them.
            auto_decompress=False,
            max_line_size=limit,
            max_field_size=limit,
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, host, port).start()
        return int(runner.addresses[0][1])
