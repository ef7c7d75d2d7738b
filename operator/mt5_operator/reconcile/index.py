# SPDX-License-Identifier: Apache-2.0
"""Who claims which account id. The oldest claim wins; the others wait until it is gone."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import NamedTuple

from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest, account_id


class Claim(NamedTuple):
    """One account's claim; claims sort by who was first."""

    created: str
    uid: str
    key: Key


class Index:
    """The claims of all accounts that exist."""

    def __init__(self, ours: Callable[[str], bool] = lambda _: True) -> None:
        # Whether our shard serves a namespace.
        self._ours = ours
        self._claims: dict[str, dict[Key, Claim]] = {}
        self._ids: dict[Key, str] = {}
        # Every namespace's claims, the oldest first.
        self._by_age: dict[str, list[Claim]] = {}

    def keep(self, manifest: Manifest) -> set[Key]:
        """Take in an account; return the others that this concerns."""
        meta = manifest["metadata"]
        key, wanted = Key(meta["namespace"], meta["name"]), account_id(manifest)
        claim = Claim(meta["creationTimestamp"], meta["uid"], key)
        if self._claims.get(wanted, {}).get(key) == claim:
            return set()
        concerned = self.drop(key)
        self._ids[key] = wanted
        self._claims.setdefault(wanted, {})[key] = claim
        bisect.insort(self._by_age.setdefault(key.namespace, []), claim)
        return (concerned | set(self._claims[wanted])) - {key}

    def drop(self, key: Key) -> set[Key]:
        """Take out an account; return the others that this concerns."""
        held = self._ids.pop(key, None)
        if held is None:
            return set()
        others = self._claims[held]
        ages = self._by_age[key.namespace]
        del ages[bisect.bisect_left(ages, others.pop(key))]
        if not others:
            del self._claims[held]
        return set(others)

    def holder(self, wanted: str) -> Claim | None:
        """Return who has the account id."""
        return min(self._claims.get(wanted, {}).values(), default=None)

    def id_of(self, key: Key) -> str | None:
        """Return the account id that an account claims."""
        return self._ids.get(key)

    def account_ids(self) -> set[str]:
        """Return the account ids that accounts of our shard hold."""
        return {name for name in self._claims if self._is_ours(name)}

    def everyones_ids(self) -> set[str]:
        """Return all account ids, those of other shards included."""
        return set(self._claims)

    def _is_ours(self, wanted: str) -> bool:
        holder = self.holder(wanted)
        return holder is not None and self._ours(holder.key.namespace)

    def in_namespace(self, namespace: str) -> set[str]:
        """Return the account ids that accounts of `namespace` hold."""
        claims = (self.holder(wanted) for wanted in self._claims)
        return {self._ids[c.key] for c in claims if c and c.key.namespace == namespace}

    def keys_in(self, namespace: str) -> list[Key]:
        """Return the accounts of `namespace`."""
        return [key for key in self._ids if key.namespace == namespace]

    def oldest(self, namespace: str, count: int) -> list[Key]:
        """Return the `count` oldest accounts of a namespace, the oldest first."""
        return [claim.key for claim in self._by_age.get(namespace, [])[:count]]

    def rank(self, claim: Claim) -> int:
        """Return how many accounts of its namespace are older than this one."""
        return bisect.bisect_left(self._by_age.get(claim.key.namespace, []), claim)

    def namespaces(self) -> set[str]:
        """Return the namespaces of our shard with accounts."""
        found = {key.namespace for key in self._ids}
        return {name for name in found if self._ours(name)}


def conflict(index: Index, wanted: str, key: Key) -> str:
    """Return what to do because another account holds the id; empty if `key` does."""
    holder = index.holder(wanted)
    if holder is None or holder.key == key:
        return ""
    same = holder.key.namespace == key.namespace
    who = f"MT5Account {holder.key.name}" if same else "an MT5Account of another namespace"
    return (
        f"account id {wanted!r} belongs to {who}, which is older: delete one of the two, or"
        " create this one again with another spec.accountId"
    )
