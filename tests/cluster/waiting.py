# SPDX-License-Identifier: Apache-2.0
"""Wait for conditions, never for times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from cluster.errors import NotReady

T = TypeVar("T")


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
        NotReady: there was none within `timeout_s`; its message names `what` and adds `hint()`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = look()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() >= deadline:
            raise NotReady(f"waited {timeout_s:g} s in vain for {what}. {hint()}".strip())
        time.sleep(interval_s)
