# SPDX-License-Identifier: Apache-2.0
"""What became of a trade, as clients are told and as the journal keeps it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

from mt5_sidecar.domain.numbers import Number
from mt5_sidecar.orders.bodies import Operation

Word = Literal["Done", "Placed", "Partial", "Refused", "NotSent", "Unknown"]
"""Done      carried out in full
Placed    accepted by the broker: an order that waits, or that is not (all) filled yet
Partial   carried out in part, and over; `volume` says how much
Refused   the broker said no: nothing was made
NotSent   proven not to have been made
Unknown   not known yet, or (`final`) not knowable any more
"""

Evidence = Literal[
    "answer", "token", "magic", "shape", "state", "absence", "never_called", "person", "none"
]
"""How it is known: the terminal's answer; our token or magic on an order of the account; the one
order of its shape; the target being as asked; its absence from a whole history; it was never
called; a person said so; not at all."""


Waiting = Literal["Settling", "HistoryIncomplete", "Executing", "Ambiguous"]
"""Why an outcome is still looked for.

Settling           too early to believe in absence
HistoryIncomplete  an order that is known to exist is missing
Executing          the broker is at it
Ambiguous          several orders could be it; a person must say
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not known yet: look again. `candidates`: the orders among which a person must choose."""

    reason: Waiting
    candidates: tuple[int, ...] = ()

    @property
    def detail(self) -> str:
        """Return what a person should know of it."""
        if not self.candidates:
            return ""
        return f"each of the orders {listed(self.candidates)} could be it: a person must say which"


Reason = Literal[
    "",
    "LookingForIt",
    Waiting,
    "AlreadyAsAsked",
    "AlreadyClosed",
    "CanceledSince",
    "Canceled",
    "Rejected",
    "NotCalled",
    "NeverCalled",
    "E_INVALID_PARAMS",
    "E_AUTO_TRADING_DISABLED",
    "E_INTERNAL_FAIL_CONNECT",
    "ProvenAbsent",
    "TargetGone",
    "Superseded",
]
"""Every word that an outcome's `reason` may be; docs/orders.md says what each means."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence says. Tickets are 0 and volume and price None where there are none.

    `retry`: a new request with a new key may succeed. `final`: nobody will look again.
    """

    outcome: Word
    evidence: Evidence = "answer"
    final: bool = True
    retcode: int = 0
    order: int = 0
    deal: int = 0
    position: int = 0
    volume: Decimal | None = None
    price: Decimal | None = None
    reason: str = ""
    detail: str = ""
    retry: bool = False
    said_by: str = ""
    """Whose word it is, where it is known by a `person`; it was said when the record ended."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a trade. `time` is UTC, of when the outcome was known.

    Volume in lots, price in the symbol's currency; tickets are null where there are none.
    """

    key: str
    operation: Operation
    outcome: Word
    final: bool
    retcode: int | None
    retcode_name: str | None
    order: int | None
    deal: int | None
    position: int | None
    volume: Number | None
    price: Number | None
    time: str
    evidence: Evidence
    reason: str = ""
    detail: str = ""
    retry: bool = False
    comment: str | None = None
    replayed: bool = False


def listed(tickets: Iterable[int]) -> str:
    """Return tickets as people read them."""
    return ", ".join(map(str, tickets))


UNKNOWN = Verdict(outcome="Unknown", evidence="none", final=False)
