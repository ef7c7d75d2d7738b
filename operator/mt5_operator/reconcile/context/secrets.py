# SPDX-License-Identifier: Apache-2.0
"""Look at accounts' Secrets by GET only, and keep nothing of them but that they are there.

Nobody watches Secrets: that would take the right to list all of the cluster. Who is in trouble has
its Secret read at once; all others' are read again one by one, evenly spread over time, and only a
Secret that changed makes anybody due. So a resync asks for none (docs/adr/087).
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import SECRET
from mt5_operator.errors import ApiError, ApiUnavailable, NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.account import SecretKey
from mt5_operator.spec.parse import Manifest


@dataclass(frozen=True)
class SecretSeen:
    """Whether a Secret can be used, and its version; empty if there is none."""

    version: str = ""
    problem: str = ""


@dataclass(slots=True)
class _Look:
    """The last look at a Secret: when it was asked for, when it is again, and whose it is."""

    seen: SecretSeen
    at_s: float
    again_s: float
    accounts: set[Key] = field(default_factory=set)


class Secrets:
    """What accounts' Secrets looked like last, read again within `secret_reread_s`.

    `news` is told, by account, that a Secret looks different; not the account that asked itself.
    """

    def __init__(
        self,
        api: Api,
        settings: Settings,
        *,
        news: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._reread_s = settings.secret_reread_s
        self._retry_s = min(settings.secret_reread_retry_s, settings.secret_reread_s)
        self._news = news
        self._clock = clock
        self._refs: dict[Key, SecretKey] = {}
        self._looks: dict[tuple[str, SecretKey], _Look] = {}

    async def look(
        self, account: Key, ref: SecretKey, *, max_age_s: float, problem_age_s: float
    ) -> SecretSeen:
        """Return a look that is at most `max_age_s` old, or `problem_age_s` if it saw a problem.

        Raises:
            ApiError, ApiUnavailable: the API server gave no answer.
        """
        there = self._looks.get((account.namespace, ref))
        if there and there.seen.problem:
            max_age_s = min(max_age_s, problem_age_s)
        at_s = self._clock()
        if there is None or at_s - there.at_s > max_age_s:
            seen = await self._fetched(account.namespace, ref)
            fresh = _Look(seen, at_s, self._again_s())
            there = self._looks.setdefault((account.namespace, ref), fresh)
            self._take(there, seen, at_s, but=account)
        if self._refs.get(account) != ref:
            self.forget(account)
            self._refs[account] = ref
        there.accounts.add(account)
        return there.seen

    def forget(self, account: Key) -> None:
        """Forget an account that is gone, and its Secret if it is no other's."""
        ref = self._refs.pop(account, None)
        if ref is None or (there := self._looks.get((account.namespace, ref))) is None:
            return
        there.accounts.discard(account)
        if not there.accounts:
            del self._looks[account.namespace, ref]

    async def reread(self) -> None:
        """Read again, one by one, what is old enough.

        Raises:
            ApiError, ApiUnavailable: one gave no answer; the others' turn is with the next call.
        """
        began_s = self._clock()
        for (namespace, ref), there in list(self._looks.items()):
            if there.again_s > began_s or not there.accounts:
                continue  # not yet, or looked at or forgotten since we began
            at_s = self._clock()
            try:
                seen = await self._fetched(namespace, ref)
            except (ApiError, ApiUnavailable):
                # One Secret that cannot be read must not keep us from all others.
                there.again_s = self._clock() + self._retry_s
                raise
            self._take(there, seen, at_s)

    def _take(self, there: _Look, seen: SecretSeen, at_s: float, *, but: Key | None = None) -> None:
        if at_s < there.at_s:
            return  # overtaken by one that was asked for later
        changed, there.seen = there.seen != seen, seen
        there.at_s, there.again_s = at_s, self._again_s()
        for account in there.accounts - {but} if changed else ():
            self._news(account)

    def _again_s(self) -> float:
        # All that a new leader reads at once are not to come at once again.
        return self._clock() + self._reread_s * random.uniform(0.5, 1)  # noqa: S311 - spreads load

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
    if why := _unusable(base64.b64decode(data[ref.key])):
        return SecretSeen(version, f"key {ref.key!r} of Secret {ref.name} {why}")
    return SecretSeen(version)


def _unusable(value: bytes) -> str:
    # What a sidecar takes no password from, and calls missing: mt5_sidecar.terminal.credentials.
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "is not UTF-8 text: write the password anew (a file made on Windows may be UTF-16)"
    if not text:
        return "is empty: put the password there"
    line = text.removesuffix("\n").removesuffix("\r")
    return "" if line else "holds no more than the end of a line: put the password there"
