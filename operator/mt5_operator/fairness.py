# SPDX-License-Identifier: Apache-2.0
"""What the namespaces of a cluster share is never used up by one of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def may_take(namespace: str, held: Iterable[str], *, limit: int, shared: bool) -> bool:
    """Tell whether a namespace may take one more of `limit` places; `held` has whose are taken.

    The more it has, the more must be free: one alone stops at half, and who has none may have the
    last. So nobody need know who else will come, and nothing is taken back. The rule is that of
    switches which share a buffer (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998).
    Where nobody shares, every place may be taken.
    """
    taken = list(held)
    return limit - len(taken) > (taken.count(namespace) if shared else 0)
