# SPDX-License-Identifier: Apache-2.0
"""Whether bars are all there are: a terminal loads them lazily, the newest first (MT5.md 5)."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

_DAY_S: Final = 86_400
_WEEK_S: Final = 7 * _DAY_S
_OPEN_S: Final = 5 * _DAY_S
# The epoch was a Thursday; weeks begin on Monday.
_MONDAY_S: Final = 3 * _DAY_S
MOST_ASKED: Final = 256


class Settled:
    """Since when answers to the same question begin where they do.

    What still loads begins earlier each time; what begins as it did some seconds ago is all that
    the terminal has. Forgets the oldest questions.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[Hashable, tuple[int | None, float]] = OrderedDict()

    def for_s(self, asked: Hashable, begin_s: int | None) -> float:
        """Return for how many seconds answers to `asked` began at `begin_s`, this one included."""
        now_s = self._clock()
        before = self._seen.pop(asked, None)
        since_s = before[1] if before is not None and before[0] == begin_s else now_s
        self._seen[asked] = (begin_s, since_s)
        if len(self._seen) > MOST_ASKED:
            self._seen.popitem(last=False)
        return now_s - since_s


def open_s(from_s: int, to_s: int) -> int:
    """Return the seconds of a period that are not in a weekend of the broker's clock."""
    return _open_before(to_s) - _open_before(from_s)


def _open_before(moment_s: int) -> int:
    weeks, rest_s = divmod(moment_s + _MONDAY_S, _WEEK_S)
    return weeks * _OPEN_S + min(rest_s, _OPEN_S)
