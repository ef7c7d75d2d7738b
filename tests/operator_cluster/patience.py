# SPDX-License-Identifier: Apache-2.0
"""How long a promise of so many seconds is waited for, and what the operators say if in vain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from operator_cluster.operator_process import Operator

# More runnable processes for each core than the tests themselves keep busy: the machine is
# shared, and everything, kubectl and the API server too, takes that much longer.
CROWDED: Final = 2.0
MOST: Final = 4.0

RUNNING: Final[list[Operator]] = []


def patience_s(promised_s: float) -> float:
    """Return how long to wait: as promised, and longer only while the machine is crowded."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return round(promised_s * min(MOST, max(1.0, load / CROWDED)), 1)


def words() -> str:
    """Return what the operators that run are doing, and how busy the machine is."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    told = [operator.circumstances() for operator in RUNNING]
    return "\n".join([f"load {load} on {os.cpu_count()} cores", *told])
