# SPDX-License-Identifier: Apache-2.0
"""What clients ask for, parsed once. Volumes are lots, prices in the symbol's currency.

Numbers may come as JSON numbers or as text; either way no digit passes through a float.
"""

import hashlib
import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mt5_sidecar.domain.decoding import why_not
from mt5_sidecar.orders.errors import BadBody
from mt5_sidecar.orders.keys import FIRST_OWN_MAGIC

Side = Literal["buy", "sell"]
Kind = Literal["market", "limit", "stop", "stop_limit"]
Filling = Literal["fok", "ioc", "return", "boc"]
Operation = Literal[
    "order", "modify_order", "cancel_order", "modify_position", "close_position", "close_by"
]

# Source: MT5.md 3.5: the package refuses a symbol of 30 characters.
SymbolName = Annotated[str, Meta(min_length=1, max_length=29)]
Points = Annotated[int, Meta(ge=0, le=1_000_000)]
Ticket = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Magic = Annotated[int, Meta(ge=0, lt=FIRST_OWN_MAGIC)]
Words = Annotated[str, Meta(max_length=255)]

NUMBERS: Final = frozenset({"volume", "price", "stop_limit_price", "sl", "tp"})
LARGEST: Final = Decimal(10**12)
MOST_DECIMALS: Final = 10
_PLAIN: Final = re.compile(rb'"?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?"?|null')


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every body has in common: a field with a wrong name is refused, never ignored."""


class NewOrder(Body, frozen=True, kw_only=True):
    """`POST /api/order`. `expiration`: `gtc`, `day`, a date, or a time with its zone."""

    symbol: SymbolName
    side: Side
    type: Kind
    volume: Decimal
    price: Decimal | None = None
    stop_limit_price: Decimal | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    deviation: Points | None = None
    filling: Filling | None = None
    expiration: str | None = None
    magic: Magic | None = None
    comment: Words | None = None


class ModifyOrder(Body, frozen=True, kw_only=True):
    """`PATCH /api/orders/{ticket}`. What is left out stays; null or 0 removes a stop."""

    price: Decimal | UnsetType = UNSET
    stop_limit_price: Decimal | UnsetType = UNSET
    sl: Decimal | UnsetType | None = UNSET
    tp: Decimal | UnsetType | None = UNSET
    expiration: str | UnsetType = UNSET


class CancelOrder(Body, frozen=True, kw_only=True):
    """`DELETE /api/orders/{ticket}`."""


class ModifyPosition(Body, frozen=True, kw_only=True):
    """`PATCH /api/positions/{ticket}`. What is left out stays; null or 0 removes a stop."""

    sl: Decimal | UnsetType | None = UNSET
    tp: Decimal | UnsetType | None = UNSET


class ClosePosition(Body, frozen=True, kw_only=True):
    """`DELETE /api/positions/{ticket}`. No volume: all of it."""

    volume: Decimal | None = None
    deviation: Points | None = None
    filling: Filling | None = None
    comment: Words | None = None


class CloseBy(Body, frozen=True, kw_only=True):
    """`POST /api/positions/{ticket}/close-by`: against an opposite position of the symbol."""

    position_by: Ticket
    comment: Words | None = None


AnyBody = NewOrder | ModifyOrder | CancelOrder | ModifyPosition | ClosePosition | CloseBy
B = TypeVar("B", bound=Body)


class Resolution(Body, frozen=True, kw_only=True):
    """`POST /api/order/{key}/resolve`: which order the trade of this key is, or that none is."""

    order: Ticket | Literal["none"]


class Ask(msgspec.Struct, frozen=True):
    """One trade that a client asks for; `ticket` is 0 for a new order."""

    operation: Operation
    body: AnyBody
    ticket: int = 0


def order_type_of(body: NewOrder) -> int:
    """Return the ORDER_TYPE_ of a new order."""
    kinds = ("market", "limit", "stop", "stop_limit")
    return 2 * kinds.index(body.type) + (0 if body.side == "buy" else 1)


def parse(raw: bytes, kind: type[B]) -> B:
    """Return the body in `raw`.

    Raises:
        BadBody: It is not of that kind; the detail says where.
    """
    try:
        _check_numbers(raw)
        body = msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(why_not(error, kind)) from error
    _check_amounts(body)
    return body


def fingerprint(ask: Ask) -> str:
    """Return what tells two requests apart: `0.10`, `"0.1"` and `1e-1` are the same volume."""
    fields = {name: _canonical(value) for name, value in msgspec.structs.asdict(ask.body).items()}
    known = {name: value for name, value in fields.items() if value is not UNSET}
    text = msgspec.json.encode(["1", ask.operation, ask.ticket, known], order="sorted")
    return hashlib.sha256(text).hexdigest()


def comment_of(ask: Ask) -> str | None:
    """Return the caller's own comment: kept in the journal, since the order carries the token."""
    return getattr(ask.body, "comment", None)


def _canonical(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def _check_numbers(raw: bytes) -> None:
    # Decimal() would also take "1_0" and " 1": nobody trades ten lots for an underscore.
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    for name in NUMBERS & fields.keys():
        if not _PLAIN.fullmatch(bytes(fields[name])):
            raise BadBody(f"`{name}` is not a plain number of 0 or more", field=name)


def _check_amounts(body: Body) -> None:
    for name in NUMBERS.intersection(body.__struct_fields__):
        value = getattr(body, name)
        if isinstance(value, Decimal):
            exponent = value.normalize().as_tuple().exponent
            if value > LARGEST or not isinstance(exponent, int) or -exponent > MOST_DECIMALS:
                raise BadBody(f"`{name}` has more digits than any symbol", field=name)
