# SPDX-License-Identifier: Apache-2.0
"""A PodDisruptionBudget in each namespace with accounts; looked at seldom, and not watched."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from mt5_operator import names
from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import BUDGET
from mt5_operator.desired.budget import budget
from mt5_operator.desired.difference import differs
from mt5_operator.errors import NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest

_log = structlog.get_logger()


class Budgets:
    """When the budget of each namespace was looked at last."""

    def __init__(self, api: Api, settings: Settings, *, now_s: Callable[[], float]) -> None:
        self._api = api
        self._wanted = settings.disruption_budget
        self._fresh_s = settings.resync_s * 0.9
        self._now_s = now_s
        self._looked: dict[tuple[str, bool], float] = {}

    async def ensure(self, namespace: str, *, accounts: bool) -> None:
        """Bring about that a namespace with accounts has its budget, and one without has none.

        Raises:
            ApiError, ApiUnavailable: try again.
        """
        wanted = accounts and self._wanted
        looked_s = self._looked.get((namespace, wanted), float("-inf"))
        if self._now_s() < looked_s + self._fresh_s:
            return
        try:
            await self._ensure(namespace, wanted=wanted)
        except Refused as error:
            # Accounts run without it; drains disturb them more.
            _log.warning("no disruption budget", namespace=namespace, error=error.message)
        self._looked.pop((namespace, not wanted), None)
        self._looked[namespace, wanted] = self._now_s()

    async def _ensure(self, namespace: str, *, wanted: bool) -> None:
        key, there = Key(namespace, names.BUDGET), await self._there(namespace)
        if not wanted and there:
            await self._api.delete(BUDGET, key, uid=there["metadata"]["uid"])
        elif wanted and (there is None or differs(budget(namespace), there)):
            await self._api.apply(BUDGET, budget(namespace))

    async def _there(self, namespace: str) -> Manifest | None:
        try:
            return await self._api.get(BUDGET, Key(namespace, names.BUDGET))
        except NotFound:
            return None
