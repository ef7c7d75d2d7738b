# SPDX-License-Identifier: Apache-2.0
"""Tell people, in the object's own Events, what changed. An Event that is lost is no failure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import EVENT
from mt5_operator.errors import ApiError, ApiUnavailable
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest

# What the API server takes of a note.
_NOTE_BYTES: Final = 1024
_log = structlog.get_logger()


class Events:
    """Write events.k8s.io/v1 Events, the same one at most once in `event_quiet_s`."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._instance = settings.pod_name
        self._quiet_s = settings.event_quiet_s
        self._clock = clock
        self._told: dict[tuple[str, str, str], float] = {}

    async def tell(
        self, regarding: Manifest, reason: str, note: str, *, warning: bool, now: str
    ) -> None:
        """Write an Event about an object."""
        if self._told_already((regarding["metadata"]["uid"], reason, note)):
            return
        body = event(regarding, reason, note, warning=warning, now=now, instance=self._instance)
        try:
            await self._api.create(EVENT, body)
        except (ApiError, ApiUnavailable) as error:
            _log.warning("event lost", reason=reason, error=str(error))

    def _told_already(self, what: tuple[str, str, str]) -> bool:
        now = self._clock()
        # The oldest first: each is taken out once, however many are told in a while.
        while self._told and now - next(iter(self._told.values())) >= self._quiet_s:
            del self._told[next(iter(self._told))]
        told = what in self._told
        self._told.setdefault(what, now)
        return told


def event(
    regarding: Manifest, reason: str, note: str, *, warning: bool, now: str, instance: str
) -> dict[str, Any]:
    """Return an Event about an object."""
    meta = regarding["metadata"]
    place = {
        name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion") if name in meta
    }
    about = {"apiVersion": regarding["apiVersion"], "kind": regarding["kind"], **place}
    return {
        "metadata": {
            "name": f"{meta['name']}.{uuid.uuid4().hex[:16]}",
            # Events of what has no namespace live in `default`. Source: apimachinery, events/v1.
            "namespace": meta.get("namespace", "default"),
        },
        "eventTime": now,
        "reportingController": "mt5bridge.io/operator",
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": reason,
        # At most 1 kB, in bytes: a terminal's words may be in any script.
        "note": note.encode()[:_NOTE_BYTES].decode(errors="ignore"),
        "type": "Warning" if warning else "Normal",
        "regarding": about,
    }
