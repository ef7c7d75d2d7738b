# SPDX-License-Identifier: Apache-2.0
"""Cores that do not halt while something is measured.

A virtual core that has nothing to do is handed back to the hypervisor, and it takes some 40 us
until it runs again: more than all of our own work between two processes. How long is the host's
affair, and no code here spares it; a machine with other work, or one with `idle=poll`, never pays
it. So what is held against a target is measured with something for each core to do, at the
scheduler's lowest class (`SCHED_IDLE`), which whatever wakes takes the core from at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.cores import ALL
from bench.processes import Started

_SPIN: Final = "while True: pass"


@contextmanager
def awake() -> Iterator[None]:
    """Keep all cores that we have from halting while the context lasts."""
    with ExitStack() as stack:
        for core in ALL:
            argv = [sys.executable, "-I", "-S", "-c", _SPIN]
            spinning = Started(argv, Path(os.devnull), core=core)
            stack.callback(spinning.end)
            os.sched_setscheduler(spinning.pid, os.SCHED_IDLE, os.sched_param(0))
        yield
