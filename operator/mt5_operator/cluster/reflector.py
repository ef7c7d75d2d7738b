# SPDX-License-Identifier: Apache-2.0
"""Tell of all objects of a kind, and of every change: a list by pages, then a watch.

For the kinds that stand around ours, which are nine in ten of all objects: only their text is
kept, and what kopf keeps of each object costs more than that (docs/adr/064).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import Kind
from mt5_operator.errors import ApiError, ApiUnavailable, Refused
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest

# What happened (None: it was listed), and the object.
Fed = Callable[[str | None, Manifest], None]
_log = structlog.get_logger()


class Reflector:
    """One kind in one namespace, or in all. `relisted` is told after each list.

    What vanished between two watches is not told of: the audit finds it (docs/adr/013).
    """

    def __init__(
        self,
        api: Api,
        kind: Kind,
        namespace: str,
        settings: Settings,
        *,
        fed: Fed,
        relisted: Callable[[], None],
    ) -> None:
        self._api, self._kind, self._namespace = api, kind, namespace
        self._settings = settings
        self._fed = fed
        self._relisted = relisted
        # The version to go on from; empty: list anew.
        self._since = ""
        self._shaky = False

    async def run(self) -> None:
        """List and follow for ever."""
        least_s, most_s = self._settings.watch_retry_s, self._settings.backoff_max_s
        pause_s = least_s
        while True:
            refused = False
            try:
                await self.once()
            except (ApiError, ApiUnavailable) as error:
                self._failed(error)
                refused = isinstance(error, Refused)
            # A namespace that is gone refuses for as long as it is served.
            pause_s = min(most_s, pause_s * 2) if refused else least_s
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load

    async def once(self) -> None:
        """List if need be, and follow until the server ends the watch.

        Raises:
            ApiError, ApiUnavailable: it was not the server's ordinary end.
        """
        if not self._since:
            self._since = await self._api.listed(self._kind, self._namespace, self._listed)
            self._relisted()
        await self._api.follow(
            self._kind,
            self._namespace,
            self._told,
            since=self._since,
            silent_s=self._settings.watch_inactivity_s,
        )

    def _failed(self, error: ApiError | ApiUnavailable) -> None:
        # A connection that broke goes on where it was, once; a version that is too old, or that
        # a server knows nothing of, is no place to go on from.
        if isinstance(error, ApiError) or self._shaky:
            self._since = ""
        self._shaky = True
        _log.info("watch broken", kind=self._kind.name, error=str(error), anew=not self._since)

    def _listed(self, manifest: Manifest) -> None:
        self._take(None, manifest)

    def _told(self, event: str, manifest: Manifest) -> None:
        self._shaky = False
        self._since = manifest["metadata"]["resourceVersion"]
        if event != "BOOKMARK":
            self._take(event, manifest)

    def _take(self, event: str | None, manifest: Manifest) -> None:
        try:
            self._fed(event, manifest)
        except Exception:  # noqa: BLE001 - one object's surprise must not hide all others
            _log.exception("object not understood", kind=self._kind.name)
