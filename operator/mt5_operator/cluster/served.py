# SPDX-License-Identifier: Apache-2.0
"""What the server holds of a kind, in the namespaces that are served.

Where namespaces are listed, the right to list one ends with it: its Role goes with it. So a
refusal is a namespace that is gone, and holds nothing, or one that keeps its things from us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import NAMESPACE, Kind
from mt5_operator.errors import ApiError, NotFound, Refused
from mt5_operator.names import Key

Versions = dict[Key, tuple[str, int]]


@dataclass
class Listed:
    """Names and versions, and which of several namespaces did not tell theirs."""

    versions: Versions = field(default_factory=dict)
    refused: dict[str, ApiError] = field(default_factory=dict)

    def keeps_silent_of(self, key: Key) -> bool:
        """Tell whether an object may be there although it is not listed."""
        return key.namespace in self.refused


class Served:
    """The namespaces that are served; none listed means all."""

    def __init__(self, api: Api, namespaces: Sequence[str]) -> None:
        self._api = api
        self._namespaces = namespaces

    async def listed(self, kind: Kind) -> Listed:
        """Return what there is of a kind.

        Raises:
            ApiError: the kind could not be listed, or in none of the namespaces.
            ApiUnavailable: the server could not be asked.
        """
        found, namespaces = Listed(), (kind.namespaced and self._namespaces) or [""]
        for namespace in namespaces:
            try:
                found.versions |= await self._api.versions(kind, namespace)
            except ApiError as error:
                if not (namespace and await self._ended(namespace, error)):
                    found.refused[namespace] = error
        if len(found.refused) == len(namespaces):
            raise found.refused[namespaces[0]]
        return found

    async def _ended(self, namespace: str, error: ApiError) -> bool:
        if not isinstance(error, Refused) or error.status != HTTPStatus.FORBIDDEN:
            return False
        try:
            there = await self._api.get(NAMESPACE, Key("", namespace))
        except NotFound:
            return True
        except ApiError:
            return False  # we may not know; then it is there
        return "deletionTimestamp" in there["metadata"]
