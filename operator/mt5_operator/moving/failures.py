# SPDX-License-Identifier: Apache-2.0
"""How far a failed move reaches: its own namespace, and everybody where several have one.

An account's spec, Secret and quota are its namespace's own, so a single one that fails says
little of the others. What all have in common, an image say, fails wherever it comes.
"""

from __future__ import annotations

from typing import Final

_NEVER: Final = float("-inf")


class Failures:
    """When moves failed last, by namespace; times are in seconds since 1970."""

    def __init__(self, *, pause_s: float, many: int) -> None:
        """`pause_s`: how long a failure counts; `many`: namespaces whose failures are all's."""
        self._pause_s = pause_s
        self._many = many
        self._last_s: dict[str, float] = {}
        # Of these, those that may be due to what all have in common.
        self._common_s: dict[str, float] = {}

    def add(self, namespace: str, at_s: float, *, own: bool) -> None:
        """Take in a failure; `own`: it is for certain due to the account alone."""
        for known in (self._last_s,) if own else (self._last_s, self._common_s):
            known[namespace] = max(at_s, known.get(namespace, _NEVER))

    def until_s(self, namespace: str) -> float:
        """Return until when no move of a namespace should begin."""
        own_s = self._last_s.get(namespace, _NEVER) + self._pause_s
        return max(own_s, self.everybody_until_s())

    def everybody_until_s(self) -> float:
        """Return until when no move should begin at all."""
        latest = sorted(self._common_s.values(), reverse=True)
        # So many failed not longer ago than this.
        failed_s = latest[self._many - 1] if len(latest) >= self._many else _NEVER
        return failed_s + self._pause_s

    def pauses(self, now_s: float) -> tuple[int, bool]:
        """Return how many namespaces pause because of their own failures, and whether all do."""
        own = sum(now_s < at_s + self._pause_s for at_s in self._last_s.values())
        return own, now_s < self.everybody_until_s()
