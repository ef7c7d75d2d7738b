# SPDX-License-Identifier: Apache-2.0
"""What a client hears: choosing it, and having the terminal watch the symbols it takes."""

from collections.abc import Iterable, Iterator

import msgspec

from mt5_sidecar.api.context import Context
from mt5_sidecar.api.context.sockets import Socket
from mt5_sidecar.api.limits.shares import demand_share
from mt5_sidecar.api.reads.symbols import checked_symbols, symbol_info
from mt5_sidecar.api.ws.commands import Subscription, Unwanted
from mt5_sidecar.errors import Draining, InvalidRequest, TooManySymbols
from mt5_sidecar.streams.channels import CHANNELS, Channel

MOST_INTERVAL_MS = 60_000
STEP_MS = 10


class Subscribed(msgspec.Struct, frozen=True):
    """What the client hears now; `symbols` null is every watched symbol."""

    channels: list[str]
    symbols: list[str] | None
    interval_ms: int


async def subscribe(context: Context, socket: Socket, wanted: Subscription) -> Subscribed:
    """Let the client hear of more; what is new comes as a snapshot first.

    Raises:
        InvalidRequest, UnknownSymbol: what it asks for cannot be; nothing has changed.
        TooManySymbols: too many are watched; nothing has changed.
        Draining: the client went meanwhile; nothing has changed.
    """
    client = socket.client
    interval_ms = checked_interval(wanted.interval_ms, default=client.interval_ms)
    symbols = await _known(context, wanted.symbols)
    if socket not in context.sockets:
        raise Draining("the client is gone")
    channels = _added(wanted)
    choice = client.choice.adding(channels, symbols) if channels else client.choice
    # All that are watched are heard already; what is named must be watched for that.
    named = socket.named | (symbols or frozenset()) if choice.symbols is None else frozenset()
    demand_watchable(context, socket.principal.subject, choice.symbols or named, socket)
    client.choose(choice)
    socket.named = named
    if channels:
        client.wants = (client.wants or frozenset()) | channels
        context.board.step()
    if interval_ms != client.interval_ms:
        context.feed.hub.regroup(client, interval_ms=interval_ms)
    watch_wanted(context)
    return subscribed(socket)


def asks_terminal(context: Context, wanted: Subscription | Unwanted) -> bool:
    """Say whether `subscribe` must ask the terminal first."""
    new = set(wanted.symbols or ()) - set(context.terminal.symbols)
    return isinstance(wanted, Subscription) and bool(new)


def unsubscribe(context: Context, socket: Socket, unwanted: Unwanted) -> Subscribed:
    """Let the client hear of less; symbols without channels leave only those symbols."""
    choice = socket.client.choice
    symbols = None if unwanted.symbols is None else frozenset(unwanted.symbols)
    if symbols is not None and choice.symbols is None:
        choice = choice._replace(symbols=frozenset(context.terminal.symbols))
    client = socket.client
    client.choose(choice.without(_channels(unwanted), symbols))
    client.place.keeps(client.choice)
    if socket.client.choice.symbols is not None:
        socket.named = frozenset()
    watch_wanted(context)
    return subscribed(socket)


def subscribed(socket: Socket) -> Subscribed:
    """Return what the client hears."""
    choice = socket.client.choice
    symbols = None if choice.symbols is None else sorted(choice.symbols)
    return Subscribed(sorted(choice.channels), symbols, socket.client.interval_ms)


def watch_wanted(context: Context) -> None:
    """Have the terminal watch what all clients together want, and nothing else."""
    context.terminal.watch(tuple(sorted(_wanted(context.sockets))))
    context.feed.forget_unwatched()


def demand_watchable(
    context: Context, subject: str, named: frozenset[str], socket: Socket | None = None
) -> None:
    """Return if `named` may be the symbols of `socket`, or of a new client of `subject`.

    Raises:
        InvalidRequest: These are too many symbols for one client.
        TooManySymbols: With what the others want they are too many for the terminal, or more than
            this key's share.
    """
    settings = context.settings
    if len(named) > settings.ws_max_symbols:
        most = settings.ws_max_symbols
        raise InvalidRequest(f"at most {most} symbols a client", limit="symbols", allowed=most)
    added = named - set(context.terminal.symbols)
    # What is watched already costs nothing more, whatever the limit is now.
    if added:
        others = [one for one in context.sockets if one is not socket]
        anyway = frozenset(context.terminal.account_file.symbols)
        demand_share(
            settings,
            TooManySymbols,
            "watched_symbols",
            most=settings.ws_max_watched_symbols,
            all_keys=len((_wanted(others) | named) - anyway),
            this_key=len((_wanted(_of(subject, others)) | named) - anyway),
        )
    context.selected.take(subject, added)


def _of(subject: str, sockets: Iterable[Socket]) -> Iterator[Socket]:
    return (socket for socket in sockets if socket.principal.subject == subject)


def _wanted(sockets: Iterable[Socket]) -> set[str]:
    wanted: set[str] = set()
    for socket in sockets:
        wanted |= socket.client.choice.symbols or socket.named
    return wanted


def checked_interval(asked_ms: int | None, *, default: int) -> int:
    """Return the interval in milliseconds; 0 is every change.

    Raises:
        InvalidRequest: out of range.
    """
    if asked_ms is None:
        return default
    if not 0 <= asked_ms <= MOST_INTERVAL_MS:
        raise InvalidRequest(f"interval_ms is 0 to {MOST_INTERVAL_MS}")
    # Steps of 10 ms keep the number of timers, one an interval, small. Up: 4 is not every change.
    return -(-asked_ms // STEP_MS) * STEP_MS


def _added(wanted: Subscription) -> frozenset[Channel]:
    named = wanted.channels is not None or wanted.symbols is not None
    # An interval alone is for what is heard already.
    return _channels(wanted) if named or wanted.interval_ms is None else frozenset()


def _channels(of: Subscription | Unwanted) -> frozenset[Channel]:
    if of.channels is not None:
        return frozenset(of.channels)
    return frozenset({"tick_data"} if of.symbols is not None else CHANNELS)


async def _known(context: Context, symbols: list[str] | None) -> frozenset[str] | None:
    if symbols is None:
        return None
    checked = checked_symbols(",".join(symbols))
    for name in checked:
        if name not in context.terminal.symbols:
            await symbol_info(context, name)
    return frozenset(checked)
