# SPDX-License-Identifier: Apache-2.0
"""A record as a row, and back."""

import sqlite3
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from mt5_sidecar.orders.bodies import (
    AnyBody,
    Ask,
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
    Operation,
)
from mt5_sidecar.orders.errors import JournalUnreadable
from mt5_sidecar.orders.outcomes import Verdict
from mt5_sidecar.orders.records import MtRequest, Record

COLUMNS: Final = (
    "key", "operation", "ticket", "body", "fingerprint", "token", "magic", "request", "context",
    "epoch", "state", "created_ms", "sent_ms", "ended_ms", "settled", "order_ticket", "verdict",
)  # fmt: skip
BODIES: Final[Mapping[Operation, type[AnyBody]]] = MappingProxyType(
    {
        "order": NewOrder,
        "modify_order": ModifyOrder,
        "cancel_order": CancelOrder,
        "modify_position": ModifyPosition,
        "close_position": ClosePosition,
        "close_by": CloseBy,
    }
)
T = TypeVar("T")


def row_of(record: Record) -> tuple[Any, ...]:
    """Return the values of COLUMNS."""
    return (
        record.key,
        record.operation,
        record.ask.ticket,
        _text(record.ask.body),
        record.fingerprint,
        record.token,
        record.magic,
        _text(record.request),
        _text(record.context),
        record.epoch,
        record.state,
        record.created_ms,
        record.sent_ms,
        record.ended_ms,
        int(record.settled),
        record.verdict.order,
        _text(record.verdict),
    )


def record_of(row: sqlite3.Row | Mapping[str, Any]) -> Record:
    """Return the record of a row of COLUMNS.

    Raises:
        JournalUnreadable: Something else than this program wrote it.
    """
    try:
        body = msgspec.json.decode(row["body"], type=BODIES[row["operation"]])
        return Record(
            key=row["key"],
            ask=Ask(row["operation"], body, row["ticket"]),
            fingerprint=row["fingerprint"],
            token=row["token"],
            magic=row["magic"],
            request=_value(row["request"], MtRequest),
            context=_value(row["context"], dict[str, float]),
            state=row["state"],
            epoch=row["epoch"],
            created_ms=row["created_ms"],
            sent_ms=row["sent_ms"],
            ended_ms=row["ended_ms"],
            verdict=_value(row["verdict"], Verdict),
        )
    except (msgspec.MsgspecError, KeyError) as error:
        raise JournalUnreadable(f"a row cannot be read: {error}") from error


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _value(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)
