# SPDX-License-Identifier: Apache-2.0
"""StatefulSets for which Kubernetes makes no pod: a quota or a webhook refuses it, not us.

Only an Event of the StatefulSet has the refusal, so it is seen by what is missing: its controller
looked at what we wrote, and there is no pod. Where its ControllerRevision is refused, nothing has
it: its controller seems never to have looked. It may be late, too, with thousands to look at; but
it takes them in turn. How long is counted by this process' own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest
from mt5_operator.status.seen import Podless as Seen

# So many times `stuck_pod_s`: with thousands of StatefulSets, their controller may take minutes.
_PATIENCE: Final = 10


class _Missing(NamedTuple):
    since_s: float
    taken_up: bool


class Podless:
    """Since when each of them has no pod."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._missing: dict[Key, _Missing] = {}
        # Of all that their controller took up: when the latest was seen first.
        self._latest_s = float("-inf")

    def look(
        self, key: Key, stateful_set: Manifest | None, *, has_pod: bool, limit_s: float
    ) -> Seen | None:
        """Take in a look; return what is to be told of a pod that is missing for long."""
        before = self._missing.pop(key, None)
        taken_up = has_pod or (stateful_set is not None and _taken_up(stateful_set))
        if before and taken_up and not before.taken_up:
            self._latest_s = max(self._latest_s, before.since_s)
        if stateful_set is None or has_pod or not _wanted(stateful_set):
            return None
        now = self._clock()
        same = before is not None and before.taken_up is taken_up
        since_s = before.since_s if before and same else now
        self._missing[key] = _Missing(since_s, taken_up)
        refused = taken_up or self._latest_s - since_s >= limit_s
        late = now - since_s >= (limit_s if refused else _PATIENCE * limit_s)
        return Seen(key.name, taken_up=taken_up, refused=refused) if late else None

    def next_s(self, key: Key, limit_s: float) -> float | None:
        """Return the seconds until there may be more to tell of a missing pod; None if not."""
        before = self._missing.get(key)
        if before is None:
            return None
        lasts_s = self._clock() - before.since_s
        ends = (limit_s, limit_s if before.taken_up else _PATIENCE * limit_s)
        return min((end - lasts_s for end in ends if end > lasts_s), default=None)

    def forget(self, key: Key) -> None:
        """Forget one that is gone."""
        self._missing.pop(key, None)


def _wanted(manifest: Manifest) -> bool:
    meta, status = manifest["metadata"], manifest.get("status", {})
    there = "generation" in meta and "deletionTimestamp" not in meta
    return there and manifest["spec"].get("replicas", 0) > 0 and not status.get("replicas")


def _taken_up(manifest: Manifest) -> bool:
    newest = manifest["metadata"].get("generation")
    return newest is not None and manifest.get("status", {}).get("observedGeneration") == newest
