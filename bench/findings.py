# SPDX-License-Identifier: Apache-2.0
"""What a benchmark found: a figure, the target it is held against, and what stands beside it."""

import operator
from dataclasses import dataclass
from typing import Final, Literal

from bench.rounds import Samples, best_cpu_ratio, cpu_ratio, cpu_us, per_s, throughput_ratio

Sense = Literal[">=", "<="]
_HOLDS: Final = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table. Without a `target` it is only told."""

    target_id: str
    what: str
    value: float
    unit: str = "x"
    sense: Sense = ">="
    target: float | None = None
    throughput: float | None = None
    """A speed's `value` is by the server's CPU time, and this is the same ratio as the client saw
    it: neighbours on the machine take a server's core away, and not from all alike. None: no speed,
    and nothing that `make bench-quick` would hold against a recorded ratio."""
    best: float | None = None
    """The same ratio of each one's least disturbed round."""
    limit: float | None = None
    """What is no ratio, and `make bench-quick` holds all the same: a neighbour takes no memory, and
    a tenth of a second is more than any does. Not the target: it leaves room for noise."""
    beside: str = ""

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met; None without one."""
        return None if self.target is None else self._holds(self.target)

    @property
    def broken(self) -> bool:
        """Tell whether the limit is."""
        return self.limit is not None and not self._holds(self.limit)

    def _holds(self, bound: float) -> bool:
        return bool(_HOLDS[self.sense](self.value, bound))

    @property
    def key(self) -> str:
        """Return the name under which a ratio is recorded."""
        return f"{self.target_id} {self.what}"


def compared(
    samples: Samples,
    ours: str,
    theirs: str,
    *,
    target_id: str,
    what: str,
    target: float | None = None,
) -> Finding:
    """Return how much more `ours` answers than `theirs` in a second of the server's core."""
    return Finding(
        target_id=target_id,
        what=what,
        value=cpu_ratio(samples, ours, theirs),
        target=target,
        throughput=throughput_ratio(samples, ours, theirs),
        best=best_cpu_ratio(samples, ours, theirs),
        beside=f"{_told(samples, ours)} against {_told(samples, theirs)}",
    )


def _told(samples: Samples, name: str) -> str:
    return f"{per_s(samples, name):,.0f}/s, {cpu_us(samples, name):.0f} us CPU"
