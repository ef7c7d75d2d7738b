# SPDX-License-Identifier: Apache-2.0
"""Wait for conditions, never for times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

from cluster.errors import NotReady

T = TypeVar("T")
# More runnable processes for each core than the tests themselves keep busy: the machine is
# shared, and everything, kubectl and the API server too, takes that much longer.
CROWDED: Final = 2.0
MOST: Final = 4.0


def patience_s(promised_s: float) -> float:
    """Return how long to wait: as promised, and longer only while the machine is crowded."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return promised_s * min(MOST, max(1.0, load / CROWDED))


def wait_for(
    look: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    interval_s: float = 0.1,
    hint: Callable[[], str] = lambda: "",
) -> T:
    """Return the first answer of `look` that is neither None nor False.

    Raises:
        NotReady: there was none within `patience_s(timeout_s)`; its message names `what` and adds
            `hint()`.
    """
    began = time.monotonic()
    while True:
        answer = look()
        if answer is not None and answer is not False:
            return answer
        waited_s = time.monotonic() - began
        if waited_s >= patience_s(timeout_s):
            raise NotReady(f"waited {waited_s:.3g} s in vain for {what}. {hint()}".strip())
        time.sleep(interval_s)
