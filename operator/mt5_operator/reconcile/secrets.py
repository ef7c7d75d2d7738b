# SPDX-License-Identifier: Apache-2.0
"""Look at accounts' Secrets by GET only, and keep nothing of them but that they are there."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import SECRET
from mt5_operator.errors import NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.spec.account import SecretKey
from mt5_operator.spec.parse import Manifest


@dataclass(frozen=True)
class SecretSeen:
    """Whether a Secret can be used, and its version; empty if there is none."""

    version: str = ""
    problem: str = ""


class Secrets:
    """Recent looks at Secrets."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._seen: dict[tuple[str, SecretKey], tuple[float, SecretSeen]] = {}

    async def look(
        self, namespace: str, ref: SecretKey, *, max_age_s: float, problem_age_s: float
    ) -> SecretSeen:
        """Return a look that is at most `max_age_s` old, or `problem_age_s` if it saw a problem.

        Raises:
            ApiUnavailable: the API server gave no answer.
        """
        at, seen = self._seen.get((namespace, ref), (float("-inf"), SecretSeen()))
        if self._clock() - at <= (min(max_age_s, problem_age_s) if seen.problem else max_age_s):
            return seen
        seen = await self._fetched(namespace, ref)
        self._seen[namespace, ref] = (self._clock(), seen)
        return seen

    def forget_old(self, max_age_s: float) -> None:
        """Forget looks that nobody asked for lately."""
        oldest = self._clock() - max_age_s
        self._seen = {k: v for k, v in self._seen.items() if v[0] >= oldest}

    async def _fetched(self, namespace: str, ref: SecretKey) -> SecretSeen:
        try:
            return secret_seen(await self._api.get(SECRET, Key(namespace, ref.name)), ref)
        except NotFound:
            told = f"Secret {ref.name} does not exist in this namespace: create it with"
            return SecretSeen(problem=f"{told} the password under the key {ref.key!r}")
        except Refused as error:
            return SecretSeen(problem=f"Secret {ref.name} cannot be read: {error.message}")


def secret_seen(secret: Manifest, ref: SecretKey) -> SecretSeen:
    """Return what matters of a Secret: never its values."""
    version = secret["metadata"]["resourceVersion"]
    data = secret.get("data") or {}
    if ref.key not in data:
        # Its other keys are not named: a status is read by people who may not read Secrets.
        told = f"Secret {ref.name} has no key {ref.key!r}: add it"
        return SecretSeen(version, f"{told}, or name another in credentialsSecretRef.key")
    if not base64.b64decode(data[ref.key]):
        told = f"key {ref.key!r} of Secret {ref.name} is empty: put the password there"
        return SecretSeen(version, told)
    return SecretSeen(version)
