# SPDX-License-Identifier: Apache-2.0
"""What a client's message leads to: an answer, a change of what it hears, or an error message."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from mt5_sidecar.api.context import Context
from mt5_sidecar.api.context.sockets import Socket
from mt5_sidecar.api.reads.symbols import checked_symbols, live_ticks
from mt5_sidecar.api.requests.middleware import ACCOUNT_FIELD
from mt5_sidecar.api.requests.problems import Told, document
from mt5_sidecar.api.trading.asks import Fields, demand_each_once, for_this_account
from mt5_sidecar.api.ws import commands
from mt5_sidecar.api.ws.said import CommandResult, Echo, Listeners
from mt5_sidecar.api.ws.subscriptions import asks_terminal, subscribe, unsubscribe
from mt5_sidecar.api.ws.trades import OUTCOME_OF, TRADES, log_refusal, outcome_of, signal, trade
from mt5_sidecar.auth.principal import Scope
from mt5_sidecar.domain.clock import now_ms, utc_iso
from mt5_sidecar.domain.decoding import why_not
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.errors import BridgeError, InvalidRequest, TooManyRequests, Unexpected
from mt5_sidecar.logs import logger
from mt5_sidecar.orders.errors import BadBody, Busy, OrderError
from mt5_sidecar.streams import messages
from mt5_sidecar.streams.channels import Channel
from mt5_sidecar.streams.codes import Close
from mt5_sidecar.streams.frame import text_frame

Answer = tuple[str, bytes] | None
Act = Callable[[Context, Socket, Any], Awaitable[Answer]]

# A client that asks on while it does not read its answers is cut off at this many buffers.
MOST_UNREAD_BUFFERS: Final = 4
OUTCOME: Final = "order_outcome"

# What waits for the terminal; and what may have to, and is done in the order in which it comes.
_SLOW: Final = (commands.TradingSignal, commands.Mt5Command, commands.TickData)
_CHOICES: Final = (commands.Subscribe, commands.Unsubscribe)


async def hear(context: Context, socket: Socket, text: str | bytes) -> None:
    """Answer one message; a bad one is told so, and harms nobody."""
    try:
        said = commands.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        _refuse(
            context,
            socket,
            InvalidRequest(why_not(error, commands.Incoming)),
            id_=commands.id_of(text),
        )
        return
    try:
        context.limits.take(socket.principal.subject)
        if isinstance(said, _SLOW):
            demand_each_once(text)
    except (TooManyRequests, BadBody) as error:
        _refuse(context, socket, error, id_=said.id)
        return
    if not _waits(context, socket, said):
        await _act(context, socket, said)
    elif socket.works < context.settings.ws_commands_at_once:
        _act_later(context, socket, said)
    else:
        most = context.settings.ws_commands_at_once
        busy = Busy(f"{most} of your commands wait already", retry_after_s=1)
        _refuse(context, socket, busy, id_=said.id)


def _waits(context: Context, socket: Socket, said: commands.Incoming) -> bool:
    if isinstance(said, _CHOICES):
        return socket.choosing is not None or asks_terminal(context, said.data)
    return isinstance(said, _SLOW)


def _act_later(context: Context, socket: Socket, said: commands.Incoming) -> None:
    """The terminal may take its time; the client's other messages and pings need not wait."""
    if isinstance(said, _CHOICES):
        work = _choose(socket.choosing, context, socket, said)
        socket.choosing = context.sockets.start(socket, work)
    else:
        context.sockets.start(socket, _act(context, socket, said))


async def _choose(
    earlier: asyncio.Task[None] | None, context: Context, socket: Socket, said: commands.Incoming
) -> None:
    if earlier is not None:
        await asyncio.wait([earlier])
    await _act(context, socket, said)
    if socket.choosing is asyncio.current_task():
        socket.choosing = None


def say(context: Context, socket: Socket, type_: str, data: bytes, *, id_: Any = None) -> None:
    """Send one message to one client."""
    limit = context.settings.ws_write_buffer_bytes * MOST_UNREAD_BUFFERS
    if socket.wire.pending_bytes() > limit:
        socket.client.close(Close.TOO_SLOW, "too slow: answers are not read")
        return
    payload = messages.reply(type_, data, id_=id_, now_ms=now_ms())
    socket.wire.send(text_frame(payload))
    context.metrics.streams.sent({type_: 1})


async def _act(context: Context, socket: Socket, said: commands.Incoming) -> None:
    type_ = str(said.__struct_config__.tag)
    outcome = "done"
    began_s = time.perf_counter()
    try:
        with context.tracing.message(type_):
            answer = await _ACTS[type(said)](context, socket, said)
        if answer is not None:
            say(context, socket, *answer, id_=said.id)
    except (BridgeError, OrderError) as error:
        outcome = "refused"
        _refuse(context, socket, error, id_=said.id)
    except Exception:  # noqa: BLE001  the last door: the fault is logged and told
        outcome = "failed"
        logger.exception("unexpected_error", ws_message=type_)
        _refuse(context, socket, Unexpected("see the sidecar's log"), id_=said.id)
    context.metrics.commands.answered(type_, outcome, seconds=time.perf_counter() - began_s)


def _refuse(context: Context, socket: Socket, error: Told, *, id_: Any) -> None:
    log_refusal(socket.principal, error)
    say(context, socket, "error", encode(document(error)), id_=id_)


async def _subscribe(context: Context, socket: Socket, said: commands.Subscribe) -> Answer:
    context.access.demand(socket.principal, Scope.READ)
    data = encode(await subscribe(context, socket, said.data))
    # The answer first, then the snapshot of what is new.
    say(context, socket, "subscribe_response", data, id_=said.id)
    context.feed.hub.bring_up_to_date(socket.client)
    return None


async def _unsubscribe(context: Context, socket: Socket, said: commands.Unsubscribe) -> Answer:
    return "unsubscribe_response", encode(unsubscribe(context, socket, said.data))


async def _heartbeat(_: Context, __: Socket, said: commands.Heartbeat) -> Answer:
    return "heartbeat_response", encode(Echo(utc_iso(now_ms()), said.data))


async def _nothing(*_: Any) -> Answer:
    return None


def _read(channel: Channel) -> Act:
    async def read(context: Context, socket: Socket, said: Any) -> Answer:
        context.access.demand(socket.principal, Scope.READ)
        _demand_known(context, channel, said.data or {})
        return f"{channel}_processed", _whole(context, channel)

    return read


async def _ticks(context: Context, socket: Socket, said: commands.TickData) -> Answer:
    context.access.demand(socket.principal, Scope.READ)
    named = [*(said.data.symbols or ())]
    named += [] if said.data.symbol is None else [said.data.symbol]
    if not named:
        return "tick_data_processed", _whole(context, "tick_data")
    symbols = checked_symbols(",".join(named))
    watched = frozenset(symbols) & context.board.items("tick_data").keys()
    more = await live_ticks(
        context, socket.principal.subject, (name for name in symbols if name not in watched)
    )
    return "tick_data_processed", context.reads.body("tick_data", watched, more)


async def _signal(context: Context, socket: Socket, said: commands.TradingSignal) -> Answer:
    return "trading_signal_executed", encode(await signal(context, socket, said))


async def _command(context: Context, socket: Socket, said: commands.Mt5Command) -> Answer:
    name, params = said.data.command, said.data.params
    if name in TRADES:
        result = await trade(context, socket, TRADES[name], params)
        return "mt5_command_result", encode(CommandResult(name, result.ok, result))
    context.access.demand(socket.principal, Scope.READ)
    if name == OUTCOME:
        _demand_known(context, name, params, OUTCOME_OF)
        result = await outcome_of(context, params)
        return "mt5_command_result", encode(CommandResult(name, result.ok, result))
    channel = READS.get(name)
    if channel is None:
        known = ", ".join(sorted([OUTCOME, *READS, *TRADES]))
        raise InvalidRequest(f"unknown command; this version knows {known}")
    _demand_known(context, name, params)
    head = encode({"command": name, "ok": True})
    return "mt5_command_result", b'%b,"result":%b}' % (head[:-1], _whole(context, channel))


def _demand_known(context: Context, command: str, params: Fields, *names: str) -> None:
    # Passed over, `{"symbol": ...}` would be answered with positions of all symbols.
    given = dict(params)
    for_this_account(given, context.settings.account_id)
    if unknown := given.keys() - set(names):
        raise InvalidRequest(
            f"{command} takes no {min(unknown)[:64]!r}", params=[*names, ACCOUNT_FIELD]
        )


async def _broadcast(context: Context, socket: Socket, said: commands.Broadcast) -> Answer:
    context.access.demand(socket.principal, Scope.ADMIN)
    context.board.happened("broadcast", encode(said.data))
    context.feed.hub.changed(urgent=True)
    return "broadcast_response", encode(Listeners(len(context.sockets)))


def _whole(context: Context, channel: Channel) -> bytes:
    if not context.board.version(channel):
        raise context.terminal.unavailable()
    return context.reads.read(channel).body


READS: Final[dict[str, Channel]] = {
    "account_info": "account_info",
    "positions_get": "positions",
    "orders_get": "orders",
    "ticks": "tick_data",
}

_ACTS: Final[dict[type, Act]] = {
    commands.Subscribe: _subscribe,
    commands.Unsubscribe: _unsubscribe,
    commands.Heartbeat: _heartbeat,
    commands.HeartbeatResponse: _nothing,
    commands.AccountInfo: _read("account_info"),
    commands.Positions: _read("positions"),
    commands.Orders: _read("orders"),
    commands.TickData: _ticks,
    commands.TradingSignal: _signal,
    commands.Mt5Command: _command,
    commands.Broadcast: _broadcast,
}
