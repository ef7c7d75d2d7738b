# SPDX-License-Identifier: Apache-2.0
"""Who runs where: what is measured has one core for itself, everything else has another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ALL: Final = sorted(os.sched_getaffinity(0))
SERVER: Final = ALL[0]
LOAD: Final = ALL[-1]


@contextmanager
def on(core: int) -> Iterator[None]:
    """Start processes in here: they inherit the core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
