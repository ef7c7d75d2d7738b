# SPDX-License-Identifier: Apache-2.0
"""How many lots a netting account holds after its last trades, while the terminal may not show it.

There, whatever a close has too much turns the position round (MT5.md 5). Who closes what the
terminal still shows of a moment ago would open a position that nobody asked for.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from mt5_agent.protocol import Position
from mt5_sidecar.orders.outcomes import Verdict
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.symbols import decimal

HELD = "held"
"""In a record's context: the lots that were shown before a trade on a netting account."""


@dataclass(frozen=True, slots=True)
class _Lots:
    """All amounts from `least` to `most`: between them is what an order may have filled."""

    least: Decimal
    most: Decimal

    @property
    def certain(self) -> bool:
        return self.least == self.most

    def __contains__(self, lots: Decimal) -> bool:
        return self.least <= lots <= self.most

    def moved(self, lots: Decimal) -> "_Lots":
        return _Lots(self.least + lots, self.most + lots)

    def or_else(self, lots: Decimal) -> "_Lots":
        return _Lots(min(self.least, lots), max(self.most, lots))

    def perhaps_moved(self, lots: Decimal) -> "_Lots":
        return _Lots(self.least + min(lots, Decimal(0)), self.most + max(lots, Decimal(0)))


@dataclass(frozen=True, slots=True)
class _Last:
    """After the trade of `made_ms`: what may be held now, and what may have been before."""

    made_ms: int
    now: _Lots
    left: tuple[_Lots, ...]


class Netting:
    """What trades within `kept_ms` left of each symbol: lots, below 0 where they are sold."""

    def __init__(self, *, kept_ms: int, clock: Callable[[], int]) -> None:
        self._kept_ms = kept_ms
        self._clock = clock
        self._last: dict[str, _Last] = {}

    def made(self, record: Record, verdict: Verdict, *, began_ms: int) -> None:
        """Remember a trade that the broker has carried out, or may have; `began_ms`: by our clock,
        when it was sent, for it was planned on what was shown before that."""
        if HELD not in record.context:
            return
        symbol, left = str(record.request["symbol"]), tuple[_Lots, ...]()
        seen, last = decimal(record.context[HELD]), self._recent(symbol, began_ms)
        before = _Lots(seen, seen)
        if last is not None and not _shows(seen, last):
            # It was planned on what is no longer so; or others have traded just that much back.
            before, left = last.now.or_else(seen), last.left
        if verdict.volume is None or verdict.outcome == "Placed":
            # Taken is not filled: any part of it may be.
            now = before.perhaps_moved(_signed(record, decimal(float(record.request["volume"]))))
        else:
            now = before.moved(_signed(record, verdict.volume))
        self._last[symbol] = _Last(self._clock(), now, (*left, before))

    def shown(self, held: Position) -> bool:
        """Tell whether the lots of `held` are not those of before the last trade."""
        last = self._recent(held.symbol, self._clock())
        return last is None or _shows(net([held]), last)

    def _recent(self, symbol: str, at_ms: int) -> _Last | None:
        last = self._last.get(symbol)
        return None if last is None or at_ms - last.made_ms >= self._kept_ms else last


def net(positions: Iterable[Position]) -> Decimal:
    """Return the lots of positions of one symbol, those that are sold below 0."""
    lots = (decimal(held.volume) * (-1 if held.type % 2 else 1) for held in positions)
    return sum(lots, Decimal(0))


def _shows(lots: Decimal, last: _Last) -> bool:
    if last.now.certain and lots in last.now:
        return True
    # Other lots than any that we know of: somebody else has traded since.
    return not any(lots in before for before in last.left)


def _signed(record: Record, lots: Decimal) -> Decimal:
    return -lots if int(record.request["type"]) % 2 else lots
