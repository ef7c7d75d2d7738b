# SPDX-License-Identifier: Apache-2.0
"""A journal on its way to the account's other slot: every key, so that none is sent there again."""

from typing import Any, Final

import msgspec

from mt5_sidecar.orders.errors import JournalForeign, JournalUnreadable
from mt5_sidecar.orders.journal.rows import COLUMNS, record_of, row_of
from mt5_sidecar.orders.records import Record

VERSION: Final = 1


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What a fenced desk knows. `known_since_ms`: every key used since then is among `rows`;
    `earlier_settled`: what was sent before that can be seen by now."""

    version: int = VERSION
    account: str
    epoch: int
    known_since_ms: int
    rows: list[dict[str, Any]]
    # A pod of an earlier version does not say it.
    earlier_settled: bool = False


def rows_of(records: list[Record]) -> list[dict[str, Any]]:
    """Return `records` as they are handed over."""
    return [dict(zip(COLUMNS, row_of(record), strict=True)) for record in records]


def packed(handover: Handover) -> bytes:
    """Return the handover as JSON."""
    return msgspec.json.encode(handover)


def unpacked(raw: bytes, *, account: str) -> tuple[Handover, list[Record]]:
    """Return the handover in `raw` and its records.

    Raises:
        JournalUnreadable: It is none of this version.
        JournalForeign: It is another account's.
    """
    try:
        handover = msgspec.json.decode(raw, type=Handover)
    except msgspec.MsgspecError as error:
        raise JournalUnreadable(f"not a handover: {error}") from error
    if handover.version != VERSION:
        raise JournalUnreadable(f"a handover of version {handover.version}")
    if handover.account != account:
        raise JournalForeign(f"the handover is of {handover.account}, not of {account}")
    return handover, [record_of(row) for row in handover.rows]
