# SPDX-License-Identifier: Apache-2.0
"""Which accounts have pods on which node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mt5_operator.names import Key


class Hosted:
    """Filled by reconciles, asked when a node changes."""

    def __init__(self) -> None:
        self._on: defaultdict[str, set[Key]] = defaultdict(set)
        self._nodes: dict[Key, frozenset[str]] = {}

    def keep(self, account: Key, nodes: Iterable[str]) -> None:
        """Take in on which nodes an account's pods are."""
        wanted = frozenset(nodes)
        before = self._nodes.get(account, frozenset())
        if wanted == before:
            return
        for node in before - wanted:
            self._on[node].discard(account)
        for node in wanted - before:
            self._on[node].add(account)
        self._nodes[account] = wanted

    def forget(self, account: Key) -> None:
        """Forget an account that is gone."""
        self.keep(account, ())
        self._nodes.pop(account, None)

    def on(self, node: str) -> set[Key]:
        """Return the accounts with a pod on `node`."""
        return set(self._on.get(node, ()))
