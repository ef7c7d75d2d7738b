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
    # When a kubelet had let a deadline pass without a word, and when one last said anything.
    _silent: dict[str, float] = field(default_factory=dict)
    _heard: dict[str, float] = field(default_factory=dict)
    # Of a node of which nothing is known: who was asked first and since when, and who waits.
    _first: dict[str, tuple[Key, float]] = field(default_factory=dict)
    _waiting: dict[str, set[Key]] = field(default_factory=dict)

    def may_ask(self, key: Key, node: str, *, trust_s: float, patience_s: float) -> bool:
        """Tell whether a pod of `node` may be asked for something now.

        Any number where the kubelet answered in the last `trust_s`. Else one, and the others wait
        for the answer; after `patience_s` without an end another one is the first.
        """
        if self.tries(key):
            return True
        heard_s = self._heard.get(node)
        trusted = heard_s is not None and self.clock() - heard_s < trust_s
        first, since_s = self._first.get(node, (key, self.clock()))
        if not trusted and first != key and self.clock() - since_s < patience_s:
            self._waiting.setdefault(node, set()).add(key)
            return False
        if not trusted:
            self._first[node] = (key, since_s if first == key else self.clock())
        self._waiting.get(node, set()).discard(key)
        return True

    def answered(self, node: str) -> set[Key]:
        """Remember that a node's kubelet did it, or said why not; return who waited for that."""
        self._heard[node] = self.clock()
        return self._let_go(node)

    def _let_go(self, node: str) -> set[Key]:
        self._first.pop(node, None)
        return self._waiting.pop(node, set())

    def _leave(self, key: Key) -> set[Key]:
        nodes = [node for node, (first, _) in self._first.items() if first == key]
        return {waits for node in nodes for waits in self._let_go(node)}

    @property
    def waiting(self) -> int:
        """Return how many accounts wait for the first one on their node."""
        return sum(map(len, self._waiting.values()))

    def silent(self, *, again_s: float) -> int:
        """Return how many nodes are not asked."""
        return sum(not self.answers(node, again_s=again_s) for node in self._silent)

    def begin(self, key: Key, uid: str, template: str) -> float:
        """Return for how long it is tried, in seconds."""
        before = self._begun.get(key)
        if before is None or before[:2] != (uid, template):
            before = self._begun[key] = (uid, template, self.clock())
        return self.clock() - before[2]

    def tries(self, key: Key) -> bool:
        """Tell whether an account's pod is being given something just now."""
        return key in self._begun

    def give_up(self, key: Key, uid: str, template: str) -> set[Key]:
        """Remember that this pod does not get this template in place; return who waited for it."""
        self._begun.pop(key, None)
        self._hopeless[key] = (uid, template)
        return self._leave(key)

    def hopeless(self, key: Key, uid: str, template: str) -> bool:
        """Tell whether it was given up."""
        return self._hopeless.get(key) == (uid, template)

    def unanswered(self, node: str) -> set[Key]:
        """Remember a node whose kubelet began, or not even that, and never said more.

        Return who waited for its answer.
        """
        self._silent[node] = self.clock()
        self._heard.pop(node, None)
        return self._let_go(node)

    def answers(self, node: str, *, again_s: float) -> bool:
        """Tell whether a node's kubelet is worth asking; again after so many seconds."""
        at_s = self._silent.get(node)
        return at_s is None or self.clock() - at_s >= again_s

    def over(self, key: Key) -> set[Key]:
        """Forget what was tried for an account; return who waited for it."""
        begun = self._begun.pop(key, None)
        self._hopeless.pop(key, None)
        for keys in self._waiting.values():
            keys.discard(key)
        return self._leave(key) if begun else set()

    def next_s(self, key: Key, *, deadline_s: float, patience_s: float) -> float | None:
        """Return the seconds until it is late, or it waited enough; None if nothing is tried."""
        begun = self._begun.get(key)
        waits = (node for node, keys in self._waiting.items() if key in keys)
        since = [self._first[node][1] + patience_s for node in waits if node in self._first]
        due = [begun[2] + deadline_s] if begun else since
        return max(1.0, min(due) - self.clock() + 0.05) if due else None
