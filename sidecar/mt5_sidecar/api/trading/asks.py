# SPDX-License-Identifier: Apache-2.0
"""From what a client sends to a key and a trade: the same for HTTP and WebSocket.

`client_order_id` and `account_id` may stand in the body for clients that have no headers; they
are taken out first, because the rest is one trade's body, where a strange field is refused.
"""

import json
from typing import Any, Final, NamedTuple

import msgspec

from mt5_sidecar.api.requests.middleware import ACCOUNT_FIELD
from mt5_sidecar.domain.decoding import why_not
from mt5_sidecar.errors import InvalidRequest, Misdirected
from mt5_sidecar.orders import (
    Ask,
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
    parse,
)
from mt5_sidecar.orders.bodies import AnyBody, Operation
from mt5_sidecar.orders.errors import BadBody, BadKey
from mt5_sidecar.orders.keys import checked_key

BODY_OF: Final[dict[Operation, type[AnyBody]]] = {
    "order": NewOrder,
    "modify_order": ModifyOrder,
    "cancel_order": CancelOrder,
    "modify_position": ModifyPosition,
    "close_position": ClosePosition,
    "close_by": CloseBy,
}
CLIENT_ORDER_ID: Final = "client_order_id"
TICKET_FIELD: Final = "ticket"
MOST_TICKET: Final = 2**63 - 1
MOST_OF_A_NAME: Final = 64

Fields = dict[str, msgspec.Raw]


class Wanted(NamedTuple):
    """A trade and the key under which it is carried out."""

    key: str
    ask: Ask


def fields_of(raw: bytes) -> Fields:
    """Return the body's fields, each still as it was written; none where there is no body.

    Raises:
        BadBody: It is not a JSON object, or has a name twice.
    """
    try:
        fields = msgspec.json.decode(raw or b"{}", type=Fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(why_not(error, Fields)) from error
    demand_each_once(raw or b"{}")
    return fields


def demand_each_once(text: str | bytes) -> None:
    """Return if no object in `text`, which is JSON, has a name twice.

    Which of two volumes is meant nobody knows: another reader on the way took the other one.

    Raises:
        BadBody: One has.
    """
    try:
        json.loads(text, object_pairs_hook=_each_once, parse_int=str, parse_float=str)
    except RecursionError as error:
        raise BadBody("JSON is nested too deeply") from error
    except UnicodeDecodeError as error:
        # What is not read yet (msgspec.Raw) has not been looked at.
        raise BadBody("JSON is UTF-8") from error


def wanted(
    operation: Operation, fields: Fields, *, account_id: str, header: str | None, ticket: int = 0
) -> Wanted:
    """Return what is asked for.

    Raises:
        Misdirected: `account_id` in the body is another account's.
        BadKey, BadBody: There is no key, or two; the body is not that operation's.
    """
    fields = dict(fields)
    for_this_account(fields, account_id)
    key = _key(taken_text(fields, CLIENT_ORDER_ID), header)
    return Wanted(key, ask(operation, fields, ticket=ticket))


def ask(operation: Operation, fields: Fields, *, ticket: int = 0) -> Ask:
    """Return the trade in `fields`.

    Raises:
        BadBody: It is not that operation's.
    """
    return Ask(operation, parse(msgspec.json.encode(fields), BODY_OF[operation]), ticket)


def for_this_account(fields: Fields, account_id: str) -> None:
    """Take `account_id` out of `fields`.

    Raises:
        Misdirected: It is another account's.
    """
    named = fields.pop(ACCOUNT_FIELD, None)
    # A number is as good as text: many clients have the login there.
    if named is not None and bytes(named).strip(b'"') != account_id.encode():
        raise Misdirected("the body names another account")


def checked_ticket(text: str) -> int:
    """Return the ticket of a position or order.

    Raises:
        InvalidRequest: It cannot be one.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidRequest("a ticket is a whole number")
    ticket = int(text)
    if not 1 <= ticket <= MOST_TICKET:
        raise InvalidRequest("a ticket is a whole number of 1 to 2^63-1")
    return ticket


def taken_ticket(fields: Fields) -> int:
    """Take `ticket` out of `fields` and return it.

    Raises:
        InvalidRequest: It is not there, or cannot be one.
    """
    written: Any = fields.pop(TICKET_FIELD, b"")
    return checked_ticket(bytes(written).decode("ascii", "replace").strip('"'))


def taken_text(fields: Fields, name: str) -> str | None:
    """Take a field of text out of `fields` and return it, None where it is not there.

    Raises:
        BadKey: It is no text; keys are what is taken like this.
    """
    if name not in fields:
        return None
    try:
        return msgspec.json.decode(fields.pop(name), type=str | None)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadKey(f"{name} is text") from error


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise BadBody(f"{name[:MOST_OF_A_NAME]!r} is there more than once")
        seen.add(name)


def _key(in_body: str | None, in_header: str | None) -> str:
    if in_body is not None and in_header is not None and in_body != in_header:
        raise BadKey("Idempotency-Key and client_order_id are not the same")
    key = in_header if in_header is not None else in_body
    if key is None:
        raise BadKey("send an Idempotency-Key, or client_order_id in the body: a UUID of your own")
    return checked_key(key)
