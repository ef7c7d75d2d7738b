# SPDX-License-Identifier: Apache-2.0
"""What a client may say on a WebSocket: one struct a message, told apart by `type`.

Every message may carry `id` (text or number), which comes back with the answer.
"""

from typing import Any

import msgspec

from mt5_sidecar.streams.channels import Channel


class Message(
    msgspec.Struct, frozen=True, tag_field="type", kw_only=True, forbid_unknown_fields=True
):
    """What every message has in common; `timestamp` is the client's and not used.

    A `channels` or `account_id` beside `data` is refused, not passed over: without its channels an
    `unsubscribe` means all, and a trade would be one of this account.
    """

    id: str | int | None = None
    timestamp: Any = None


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Channels (none: all, or of symbols `tick_data`), symbols for `tick_data` (none: all watched),
    interval (ms). An interval alone changes nothing else."""

    channels: list[Channel] | None = None
    symbols: list[str] | None = None
    interval_ms: int | None = None


class Unwanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Channels (none: all), or symbols of `tick_data` alone."""

    channels: list[Channel] | None = None
    symbols: list[str] | None = None


class Symbols(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The symbols that are asked about."""

    symbol: str | None = None
    symbols: list[str] | None = None


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command by name, as `mt5_command` carries it."""

    command: str = ""
    params: dict[str, msgspec.Raw] = {}


class Subscribe(Message, frozen=True, tag="subscribe"):
    """Hear of more, or at another interval."""

    data: Subscription = Subscription()


class Unsubscribe(Message, frozen=True, tag="unsubscribe"):
    """Hear of less."""

    data: Unwanted = Unwanted()


class Heartbeat(Message, frozen=True, tag="heartbeat", forbid_unknown_fields=False):
    """Are you there?"""

    data: Any = None


class HeartbeatResponse(
    Message, frozen=True, tag="heartbeat_response", forbid_unknown_fields=False
):
    """The client's answer to our heartbeat; needs none."""

    data: Any = None


class AccountInfo(Message, frozen=True, tag="account_info"):
    """Send the account now."""

    data: dict[str, msgspec.Raw] | None = None


class Positions(Message, frozen=True, tag="positions"):
    """Send the positions now."""

    data: dict[str, msgspec.Raw] | None = None


class Orders(Message, frozen=True, tag="orders"):
    """Send the pending orders now."""

    data: dict[str, msgspec.Raw] | None = None


class TickData(Message, frozen=True, tag="tick_data"):
    """Send prices now."""

    data: Symbols = Symbols()


class TradingSignal(Message, frozen=True, tag="trading_signal"):
    """Send an order: the body of `POST /api/order` with its `client_order_id`."""

    data: dict[str, msgspec.Raw] = {}


class Mt5Command(Message, frozen=True, tag="mt5_command"):
    """Do what `command` says."""

    data: Command = Command()


class Broadcast(Message, frozen=True, tag="broadcast"):
    """Tell everybody who listens to this account (scope `admin`, on /ws/broadcast)."""

    data: dict[str, Any]


Incoming = (
    Subscribe
    | Unsubscribe
    | Heartbeat
    | HeartbeatResponse
    | AccountInfo
    | Positions
    | Orders
    | TickData
    | TradingSignal
    | Mt5Command
    | Broadcast
)

_DECODER = msgspec.json.Decoder(Incoming)


class _Identified(msgspec.Struct):
    id: str | int | None = None


def decode(text: str | bytes) -> Incoming:
    """Return what the client said.

    Raises:
        msgspec.DecodeError, ValueError, RecursionError: it is none of these messages.
    """
    said: Incoming = _DECODER.decode(text)
    return said


def id_of(text: str | bytes) -> str | int | None:
    """Return the id of a message that could not be decoded, if it has one."""
    try:
        return msgspec.json.decode(text, type=_Identified).id
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
