# SPDX-License-Identifier: Apache-2.0
"""A row of the journal: one key, what it asked for, what was sent, what came of it."""

from typing import Any, Final, Literal

import msgspec

from mt5_sidecar.domain.clock import utc_iso
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.bodies import (
    AnyBody,
    Ask,
    CloseBy,
    NewOrder,
    Operation,
    comment_of,
    fingerprint,
    order_type_of,
)
from mt5_sidecar.orders.keys import FIRST_OWN_MAGIC, magic_of, token_of
from mt5_sidecar.orders.outcomes import UNKNOWN, Outcome, Verdict, Wait
from mt5_sidecar.orders.retcodes import retcode_name

State = Literal["intent", "sent", "outcome"]
"""intent: written down, never called. sent: may have been called. outcome: a verdict is known."""

SENT_OFFSET: Final = "utc_offset_s"
"""In the context of what is found by its time: how far the broker's clock was ahead of UTC."""

MtRequest = dict[str, int | float | str]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Times are UTC milliseconds, 0 for not yet. `request` is what order_send gets.

    `context` is what the account looked like before: the target's old stops, hedging or not.
    """

    key: str
    ask: Ask
    fingerprint: str
    token: str
    magic: int
    request: MtRequest = {}
    context: dict[str, float] = {}
    state: State = "intent"
    epoch: int = 0
    created_ms: int = 0
    sent_ms: int = 0
    ended_ms: int = 0
    verdict: Verdict = UNKNOWN

    @property
    def operation(self) -> Operation:
        """Return what kind of trade it is."""
        return self.ask.operation

    @property
    def own_magic(self) -> bool:
        """Tell whether the magic is ours alone, and so proves whose an order is."""
        return self.magic >= FIRST_OWN_MAGIC

    @property
    def settled(self) -> bool:
        """Tell whether nothing about it will change any more."""
        return self.state == "outcome" and self.verdict.final


def draft(account_id: str, key: str, ask: Ask) -> Record:
    """Return the record of a trade that nobody has sent yet."""
    asked_magic = getattr(ask.body, "magic", None)
    return Record(
        key=key,
        ask=ask,
        fingerprint=fingerprint(ask),
        token=token_of(account_id, key),
        magic=asked_magic or magic_of(account_id, key),
    )


def told(record: Record, *, replayed: bool = False, waits_for: Wait | None = None) -> Outcome:
    """Return the record as its client is told; one without a verdict yet is Unknown.

    `waits_for`: what the last look lacked, where the outcome is being looked for.
    """
    verdict = record.verdict
    waits = None if record.settled else waits_for
    return Outcome(
        key=record.key,
        operation=record.operation,
        outcome=verdict.outcome,
        final=record.settled,
        retcode=verdict.retcode or None,
        retcode_name=retcode_name(verdict.retcode) if verdict.retcode else None,
        order=verdict.order or None,
        deal=verdict.deal or None,
        position=verdict.position or None,
        volume=verdict.volume,
        price=verdict.price,
        time=utc_iso(record.ended_ms or record.sent_ms or record.created_ms),
        evidence=verdict.evidence,
        reason=waits.reason if waits else verdict.reason,
        detail=(waits and waits.detail) or verdict.detail,
        retry=verdict.retry,
        comment=comment_of(record.ask),
        replayed=replayed,
    )


def shape(record: Record) -> tuple[Any, ...]:
    """Return what two trades have in common that nobody could tell apart at the broker.

    For a new order: its type once triggered, symbol, volume and magic of the caller (0 is none).
    For the others: the target; two positions are closed by each other whichever is named first.
    """
    body: AnyBody = record.ask.body
    if isinstance(body, CloseBy):
        return (record.operation, frozenset({record.ask.ticket, body.position_by}))
    if not isinstance(body, NewOrder):
        return (record.operation, record.ask.ticket)
    magic = None if record.own_magic else record.magic
    kind = order_type_of(body)
    return ("order", magic, body.symbol, mt5.TRIGGERED.get(kind, kind), body.volume)
