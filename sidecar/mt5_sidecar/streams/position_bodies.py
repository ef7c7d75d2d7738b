# SPDX-License-Identifier: Apache-2.0
"""Positions as JSON. Of one that is told of again and again only a price and the profit move, so
the rest of its text is kept: a look at 20 of them takes a third of the time, and it is the time
that each client waits.
"""

import math
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from mt5_agent.protocol import Position
from mt5_sidecar.domain import views
from mt5_sidecar.domain.contract import Contract
from mt5_sidecar.domain.encoding import encode

# In the order in which `views.PositionView` has them.
MOVING: Final = ("price_current", "profit")
_the_rest: Final[Callable[[Position], tuple[Any, ...]]] = attrgetter(
    *(name for name in Position.__struct_fields__ if name not in MOVING)
)
# With more digits decimals write small numbers with an exponent, and `%f` does not.
_MOST_DIGITS: Final = 6


class _Kept(NamedTuple):
    """The text with a place for each number that moves, and all that the text depends on."""

    made_of: tuple[Any, ...]
    form: bytes


class PositionBodies:
    """The bodies of the last look, each as `views.position` is encoded."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}

    def bodies(
        self,
        positions: Iterable[Position],
        contract_of: Callable[[str], Contract],
        *,
        money_digits: int,
        zone_s: int | None,
    ) -> dict[str, bytes]:
        """Return the body of each position by its ticket; what is open no more is forgotten."""
        before, self._kept = self._kept, {}
        made = {}
        for position in positions:
            ticket, contract = position.ticket, contract_of(position.symbol)
            digits = contract.price_digits
            if not (_is_plain(position) and _are_few(digits) and _are_few(money_digits)):
                made[str(ticket)] = _whole(position, contract, money_digits, zone_s)
                continue
            made_of = (contract, money_digits, zone_s, _the_rest(position))
            kept = before.get(ticket)
            if kept is None or kept.made_of != made_of:
                whole = _whole(position, contract, money_digits, zone_s)
                kept = _Kept(made_of, _form(whole, (digits or 0, money_digits)))
            self._kept[ticket] = kept
            # Plus zero: minus zero is none.
            numbers = (position.price_current + 0.0, position.profit + 0.0)
            made[str(ticket)] = kept.form % numbers
        return made


def _whole(position: Position, contract: Contract, money_digits: int, zone_s: int | None) -> bytes:
    view = views.position(position, contract, money_digits=money_digits, zone_s=zone_s)
    return encode(view)


def _is_plain(position: Position) -> bool:
    """Tell whether what moves is finite: the sum of what is not, is not."""
    return math.isfinite(position.price_current + position.profit)


def _are_few(digits: int | None) -> bool:
    return digits is not None and 0 <= digits <= _MOST_DIGITS


def _form(body: bytes, digits: tuple[int, int]) -> bytes:
    """Return `body` with a place for each number that moves, in so many digits."""
    form, rest = b"", body
    for name, count in zip(MOVING, digits, strict=True):
        # Not to be found in a text: there its quotes are escaped.
        before, found, after = rest.partition(b'"%b":' % name.encode())
        form += before.replace(b"%", b"%%") + found + b"%%.%df" % count
        rest = after[after.index(b",") :]
    return form + rest.replace(b"%", b"%%")
