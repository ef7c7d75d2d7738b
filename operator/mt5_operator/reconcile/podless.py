# SPDX-License-Identifier: Apache-2.0
"""StatefulSets for which Kubernetes makes no pod: a quota or a webhook refuses it, not us.

Only an Event of the StatefulSet has the refusal, so it is seen by what is missing: its controller
looked at what we wrote, and there is no pod. How long is counted by this process' own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest


class Podless:
    """Since when each of them has no pod."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Key, float] = {}

    def for_s(self, key: Key, stateful_set: Manifest | None, *, has_pod: bool) -> float:
        """Take in a look; return for how many seconds the pod is missing, 0 if it is not."""
        if stateful_set is None or has_pod or not _looked_at(stateful_set):
            self._since.pop(key, None)
            return 0
        now = self._clock()
        return now - self._since.setdefault(key, now)

    def next_s(self, key: Key, limit_s: float) -> float | None:
        """Return the seconds until a pod that is missing has been so for `limit_s`; else None."""
        since = self._since.get(key)
        left = None if since is None else since + limit_s - self._clock()
        return None if left is None or left <= 0 else left

    def forget(self, key: Key) -> None:
        """Forget one that is gone."""
        self._since.pop(key, None)


def _looked_at(manifest: Manifest) -> bool:
    meta, status = manifest["metadata"], manifest.get("status", {})
    wanted = manifest["spec"].get("replicas", 0) > 0 and "deletionTimestamp" not in meta
    newest = status.get("observedGeneration") == meta.get("generation") is not None
    return wanted and newest and not status.get("replicas")
