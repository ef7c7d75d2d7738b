# SPDX-License-Identifier: Apache-2.0
"""The WebSocket endpoints: open, welcome, listen, close."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final, cast, get_args

from aiohttp import WSMsgType, web

from mt5_sidecar import __version__
from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.api.context.sockets import Socket
from mt5_sidecar.api.context.wire import SocketWire
from mt5_sidecar.api.limits.bucket import Bucket
from mt5_sidecar.api.limits.shares import demand_share
from mt5_sidecar.api.reads.status import stream_health
from mt5_sidecar.api.reads.symbols import checked_symbols, symbol_info
from mt5_sidecar.api.requests.cors import demand_origin
from mt5_sidecar.api.requests.middleware import Handler, named
from mt5_sidecar.api.requests.operation import caller
from mt5_sidecar.api.ws.dialogue import hear, say
from mt5_sidecar.api.ws.features import features
from mt5_sidecar.api.ws.said import ApiVersions, Limits, Welcome
from mt5_sidecar.api.ws.subscriptions import (
    checked_interval,
    demand_watchable,
    subscribed,
    watch_wanted,
)
from mt5_sidecar.auth.principal import Scope
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.errors import Draining, InvalidRequest, TooManySockets
from mt5_sidecar.logs import bound, logger
from mt5_sidecar.settings import Settings
from mt5_sidecar.streams.board import NOTHING_YET
from mt5_sidecar.streams.channels import CHANNELS, Channel, Choice
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.codes import Close
from mt5_sidecar.streams.frame import pong_frame

# Only what happens to the connection; no part of the account.
STATUS_ONLY: Final = Choice(frozenset(), frozenset(), account=False)


def stream(*, scope: Scope = Scope.READ, account: bool = True, health: bool = False) -> Handler:
    """Return the handler of a stream: of the whole account, or of its connection only.

    `health`: it also tells how the streams themselves are, at each heartbeat.
    """

    async def serve(request: web.Request) -> web.StreamResponse:
        context = request.app[CONTEXT]
        demand_origin(context.settings, request)
        choice = await _choice(context, request) if account else STATUS_ONLY
        resume = _resume(request)
        interval_ms = _interval(context, request)
        principal = caller(request)
        with _counted_in(context, principal.subject):
            demand_watchable(context, principal.subject, choice.symbols or frozenset())
            ws = await _opened(context, request)
            wire = _wire(context, request, ws)
            place = context.feed.hub.places.new(principal.subject)
            client = Client(
                wire, choice, interval_ms=interval_ms, seq=context.board.seq, place=place
            )
            _place_it(context, client, resume)
            socket = Socket(client, wire, principal, scope, _bucket(context), tells_health=health)
            # What this client asks for is found in the log under the id of its upgrade.
            with bound(**named(request)):
                await _serve(context, ws, socket)
        return ws

    return serve


def _place_it(context: Context, client: Client, resume: tuple[str, int] | None) -> None:
    """Have the client go on where it says it was, or get everything."""
    board, (epoch, seq) = context.board, resume or ("", NOTHING_YET)
    before = context.feed.hub.places.find(epoch)
    held = before.at(seq) if before is not None and board.can_resume(seq) else None
    if held is None:
        client.wants = client.choice.channels
        return
    client.resume(held, seq=seq)
    if client.wants is not None:
        board.step()


async def _serve(context: Context, ws: web.WebSocketResponse, socket: Socket) -> None:
    context.sockets.add(socket)
    context.metrics.streams.sockets.inc()
    try:
        _welcome(context, socket)
        if socket.tells_health:
            say(context, socket, "health", encode(stream_health(context)))
        watch_wanted(context)
        context.feed.hub.join(socket.client)
        await _listen(context, ws, socket)
    except Exception:  # noqa: BLE001  after the upgrade no HTTP answer may follow
        logger.exception("stream_failed")
        socket.client.close(Close.INTERNAL, "a fault of ours; see the sidecar's log")
    finally:
        context.metrics.streams.sockets.dec()
        context.sockets.remove(socket)
        context.feed.hub.leave(socket.client)
        watch_wanted(context)
        await socket.wire.ended()


async def _listen(context: Context, ws: web.WebSocketResponse, socket: Socket) -> None:
    now_s = asyncio.get_running_loop().time
    async for message in ws:
        # Pings and pongs as well: a flood of them holds the loop up like any other.
        if not socket.bucket.take(now_s()):
            socket.client.close(Close.TOO_MANY_MESSAGES, "too many messages a second")
        if socket.client.closed:
            return
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            await hear(context, socket, message.data)
        elif message.type is WSMsgType.PING:
            socket.wire.send(pong_frame(message.data))


def _welcome(context: Context, socket: Socket) -> None:
    settings, client = context.settings, socket.client
    welcome = Welcome(
        epoch=client.place.epoch,
        # Whose snapshot does not arrive has nothing, and must not resume as if it had.
        seq=client.seq if client.resumed else NOTHING_YET,
        recovered=client.resumed,
        account_id=settings.account_id,
        versions=ApiVersions(api=1, sidecar=__version__),
        features=features(context, socket.principal),
        subscribed=subscribed(socket),
        status=context.feed.status,
        limits=_limits(settings),
    )
    say(context, socket, "welcome", encode(welcome))


def _limits(settings: Settings) -> Limits:
    return Limits(
        message_bytes=settings.ws_max_message_bytes,
        messages_per_s=settings.ws_messages_per_s,
        message_burst=settings.ws_message_burst,
        symbols=settings.ws_max_symbols,
        heartbeat_interval_s=settings.ws_heartbeat_interval_s,
        stall_timeout_s=settings.ws_stall_timeout_s,
    )


@contextlib.contextmanager
def _counted_in(context: Context, subject: str) -> Iterator[None]:
    sockets, settings = context.sockets, context.settings
    if sockets.draining:
        raise Draining("the pod is going away")
    demand_share(
        settings,
        TooManySockets,
        "sockets",
        most=settings.ws_max_sockets,
        all_keys=sockets.taken.total() + 1,
        this_key=sockets.taken[subject] + 1,
    )
    sockets.taken[subject] += 1
    try:
        yield
    finally:
        sockets.taken[subject] -= 1
        sockets.taken += Counter()  # who has none is forgotten


async def _opened(context: Context, request: web.Request) -> web.WebSocketResponse:
    settings = context.settings
    ws = web.WebSocketResponse(
        timeout=settings.ws_close_grace_s,
        heartbeat=settings.ws_ping_interval_s,
        max_msg_size=settings.ws_max_message_bytes,
        compress=False,
        autoping=False,
    )
    if not ws.can_prepare(request):
        raise InvalidRequest("this path speaks WebSocket: send Upgrade: websocket")
    if request.transport is None:
        raise Draining("the client is gone")
    await ws.prepare(request)
    return ws


def _wire(context: Context, request: web.Request, ws: web.WebSocketResponse) -> SocketWire:
    # Typed as a bare transport; every loop gives one that writes (uvloop's has no asyncio base).
    transport = cast("asyncio.WriteTransport", request.transport)
    return SocketWire(
        ws, transport, context.metrics.streams, grace_s=context.settings.ws_close_grace_s
    )


def _bucket(context: Context) -> Bucket:
    burst = context.settings.ws_message_burst
    now_s = asyncio.get_running_loop().time()
    return Bucket(context.settings.ws_messages_per_s, burst, burst, now_s)


async def _choice(context: Context, request: web.Request) -> Choice:
    channels = _channels(request.query.get("channels"))
    named = request.query.get("symbols")
    if named is None:
        return Choice(channels)
    symbols = checked_symbols(named)
    for name in symbols:
        if name not in context.terminal.symbols:
            await symbol_info(context, name)
    return Choice(channels, frozenset(symbols))


def _channels(named: str | None) -> frozenset[Channel]:
    if named is None:
        return frozenset(CHANNELS)
    chosen = frozenset(named.split(",")) - {""}
    if not chosen <= set(get_args(Channel)):
        raise InvalidRequest(f"channels are {', '.join(CHANNELS)}")
    return frozenset(channel for channel in CHANNELS if channel in chosen)


def _resume(request: web.Request) -> tuple[str, int] | None:
    epoch, seq = request.query.get("epoch"), request.query.get("seq")
    if epoch is None and seq is None:
        return None
    if not epoch or not _is_seq(seq):
        raise InvalidRequest("to resume, send epoch and seq of the last message")
    return epoch, int(seq or 0)


def _is_seq(text: str | None) -> bool:
    # 15 digits fit every JSON number; longer ones are nobody's.
    return text is not None and text.isascii() and text.isdigit() and len(text) <= 15


def _interval(context: Context, request: web.Request) -> int:
    text = request.query.get("interval_ms")
    if text is not None and not _is_seq(text):
        raise InvalidRequest("interval_ms is a number of milliseconds")
    asked_ms = None if text is None else int(text)
    return checked_interval(asked_ms, default=context.settings.ws_interval_ms)
