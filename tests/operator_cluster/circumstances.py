# SPDX-License-Identifier: Apache-2.0
"""What the operators say where something was waited for in vain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from operator_cluster.operator_process import Operator

RUNNING: Final[list[Operator]] = []


def words() -> str:
    """Return what the operators that run are doing, and how busy the machine is."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    told = [operator.circumstances() for operator in RUNNING]
    return "\n".join([f"load {load} on {os.cpu_count()} cores", *told])
