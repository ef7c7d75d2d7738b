# SPDX-License-Identifier: Apache-2.0
"""The last change of each position and order, for as long as the terminal may not show it.

A change is answered by the broker and shown by the terminal on two ways, and either may come first.
Who plans the next change from what is shown would write the old stop back.
"""

from collections.abc import Callable

from mt5_agent.protocol import Order, Position
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.sight import Sight
from mt5_sidecar.orders.targets import CHANGES, judged_by_target


class LastChanges:
    """What was changed within `kept_ms`, by the target's ticket."""

    def __init__(self, *, kept_ms: int, clock: Callable[[], int]) -> None:
        self._kept_ms = kept_ms
        self._clock = clock
        self._made: dict[int, tuple[int, Record]] = {}

    def made(self, record: Record) -> None:
        """Remember a change that the broker has made."""
        now_ms = self._clock()
        self._made = {
            ticket: (made_ms, earlier)
            for ticket, (made_ms, earlier) in self._made.items()
            if now_ms - made_ms < self._kept_ms
        }
        if record.operation in CHANGES:
            self._made[record.ask.ticket] = now_ms, record

    def shown(self, target: Position | Order) -> bool:
        """Tell whether `target` is not as it was before its last change."""
        made_ms, record = self._made.get(target.ticket, (0, None))
        if record is None or self._clock() - made_ms >= self._kept_ms:
            return True
        if isinstance(target, Position):
            sight = Sight(taken_ms=0, connected_ms=0, positions=(target,))
        else:
            sight = Sight(taken_ms=0, connected_ms=0, orders=(target,))
        return judged_by_target(record, sight) is not None
