# SPDX-License-Identifier: Apache-2.0
"""Which pods are given other resources in place just now, and where that was given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mt5_operator.names import Key


@dataclass
class Resizes:
    """What this leader tries in place, and what it gave up: by pod and template."""

    clock: Callable[[], float] = time.monotonic
    _begun: dict[Key, tuple[str, str, float]] = field(default_factory=dict)
    _hopeless: dict[Key, tuple[str, str]] = field(default_factory=dict)
    # When a kubelet had let a deadline pass without a word.
    _silent: dict[str, float] = field(default_factory=dict)

    def begin(self, key: Key, uid: str, template: str) -> float:
        """Return for how long it is tried, in seconds."""
        before = self._begun.get(key)
        if before is None or before[:2] != (uid, template):
            before = self._begun[key] = (uid, template, self.clock())
        return self.clock() - before[2]

    def tries(self, key: Key) -> bool:
        """Tell whether an account's pod is being given something just now."""
        return key in self._begun

    def give_up(self, key: Key, uid: str, template: str) -> None:
        """Remember that this pod does not get this template in place."""
        self._begun.pop(key, None)
        self._hopeless[key] = (uid, template)

    def hopeless(self, key: Key, uid: str, template: str) -> bool:
        """Tell whether it was given up."""
        return self._hopeless.get(key) == (uid, template)

    def unanswered(self, node: str) -> None:
        """Remember a node whose kubelet began, or not even that, and never said more."""
        self._silent[node] = self.clock()

    def answers(self, node: str, *, again_s: float) -> bool:
        """Tell whether a node's kubelet is worth asking; again after so many seconds."""
        at_s = self._silent.get(node)
        return at_s is None or self.clock() - at_s >= again_s

    def over(self, key: Key) -> None:
        """Forget what was tried for an account."""
        self._begun.pop(key, None)
        self._hopeless.pop(key, None)

    def next_s(self, key: Key, deadline_s: float) -> float | None:
        """Return the seconds until it is late; None if nothing is tried."""
        begun = self._begun.get(key)
        return None if begun is None else max(1.0, begun[2] + deadline_s - self.clock() + 0.05)
