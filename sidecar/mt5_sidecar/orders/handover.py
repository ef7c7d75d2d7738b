# SPDX-License-Identifier: Apache-2.0
"""A journal on its way to the account's other slot: every key, so that none is sent there again.

A row at a time in either direction: a sidecar has not the memory for all of them as objects.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from mt5_sidecar.orders.errors import HandoverUnreadable, JournalForeign, JournalUnreadable
from mt5_sidecar.orders.journal.rows import record_of
from mt5_sidecar.orders.records import Record

VERSION: Final = 1


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What a fenced desk knows. `known_since_ms`: every key used since then is among `rows`;
    `earlier_settled`: what was sent before that can be seen by now."""

    version: int = VERSION
    account: str
    epoch: int
    known_since_ms: int
    # A pod of an earlier version does not say it.
    earlier_settled: bool = False
    rows: list[msgspec.Raw] = []


def packed(handover: Handover, rows: Iterable[Mapping[str, Any]]) -> bytearray:
    """Return the handover with `rows` as JSON."""
    # `rows` is its last field: what follows is in it.
    text = bytearray(msgspec.json.encode(handover).removesuffix(b"]}"))
    for number, row in enumerate(rows):
        text += b"," if number else b""
        text += msgspec.json.encode(row)
    text += b"]}"
    return text


def unpacked(raw: bytes | bytearray, *, account: str) -> tuple[Handover, Iterator[Record]]:
    """Return the handover in `raw` and its records, each of which may be unreadable yet.

    Raises:
        HandoverUnreadable: It is none of this version.
        JournalForeign: It is another account's.
    """
    try:
        handover = msgspec.json.decode(raw, type=Handover)
    except msgspec.MsgspecError as error:
        raise HandoverUnreadable(f"not a handover: {error}") from error
    if handover.version != VERSION:
        raise HandoverUnreadable(f"a handover of version {handover.version}")
    if handover.account != account:
        raise JournalForeign(f"the handover is of {handover.account}, not of {account}")
    return handover, map(_record, handover.rows)


def _record(row: msgspec.Raw) -> Record:
    try:
        fields = msgspec.json.decode(row, type=dict[str, Any])
        return record_of(fields)
    except (msgspec.MsgspecError, JournalUnreadable) as error:
        raise HandoverUnreadable(f"of what was handed over, {error}") from error
