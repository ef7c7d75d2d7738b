# SPDX-License-Identifier: Apache-2.0
"""Who claims which account id. Who has it keeps it; the others wait until it is gone.

The status of an account that has its id says so. Age alone could not tell: creationTimestamp has
whole seconds, so a younger account could take the id, and with it the route, from one that is
already connected. Nor could our finalizer: who may write accounts may write that as well
(docs/adr/080); it only breaks ties.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from typing import NamedTuple

from mt5_operator import names
from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest, account_id


class Claim(NamedTuple):
    """One account's claim; claims sort by who should have the id: who has it, then who is older.

    Two may both have it where installations were joined, or neither yet. The uid decides between
    accounts of one second, so that every replica decides alike.
    """

    waits: bool
    created: str
    # Of one second: who lacks our finalizer comes after who has it, and no status yet.
    bare: bool
    uid: str
    key: Key


class Age(NamedTuple):
    """What accounts of a namespace are ranked by: who was there first."""

    created: str
    uid: str
    key: Key


class Hold(NamedTuple):
    """For whom an account id is kept, and until when (a metav1.Time)."""

    namespace: str
    until: str


class Index:
    """The claims of all accounts that exist."""

    def __init__(self, ours: Callable[[str], bool] | None = None) -> None:
        # Whether our shard serves a namespace; None: it serves all, and nobody need be asked.
        self._ours = ours
        self._claims: dict[str, dict[Key, Claim]] = {}
        self._ids: dict[Key, str] = {}
        # Every namespace's claims, the oldest first.
        self._by_age: dict[str, list[Age]] = {}
        # Who took its id in this process: its status is on the way, or the finalizer was taken off
        # by hand.
        self._taken: set[str] = set()
        # Who may not have an id now, because it is one too many in its namespace.
        self._barred: set[str] = set()
        # Ids of accounts that are gone, and for whom they are kept.
        self.kept: Mapping[str, Hold] = {}

    def keep(self, manifest: Manifest) -> set[Key]:
        """Take in an account; return the others that this concerns."""
        meta = manifest["metadata"]
        key, wanted = Key(meta["namespace"], meta["name"]), account_id(manifest)
        marked = names.FINALIZER in meta.get("finalizers", [])
        held = meta["uid"] in self._taken or (marked and has_its_id(manifest))
        claim = Claim(not held, meta["creationTimestamp"], not marked, meta["uid"], key)
        if self._claims.get(wanted, {}).get(key) == claim:
            return set()
        concerned = self._put_away(key)
        self._ids[key] = wanted
        self._claims.setdefault(wanted, {})[key] = claim
        age = Age(claim.created, claim.uid, key)
        bisect.insort(self._by_age.setdefault(key.namespace, []), age)
        return (concerned | set(self._claims[wanted])) - {key}

    def drop(self, key: Key) -> set[Key]:
        """Take out an account; return the others that this concerns."""
        if claim := self._claim(key):
            self._taken.discard(claim.uid)
            self._barred.discard(claim.uid)
        return self._put_away(key)

    def take(self, key: Key) -> None:
        """Remember at once that an account has its id, before the API server knows."""
        self._mark(key, held=True)

    def give_up(self, key: Key) -> None:
        """Forget that an account had its id: another one has it."""
        self._mark(key, held=False)

    def bar(self, key: Key, *, barred: bool) -> bool:
        """Take in whether an account may have no id now; tell whether that is news."""
        claim = self._claim(key)
        if claim is None or (claim.uid in self._barred) == barred:
            return False
        (self._barred.add if barred else self._barred.discard)(claim.uid)
        return True

    def keep_ids(self, kept: Mapping[str, Hold]) -> None:
        """Take in which ids are kept for whom."""
        self.kept = kept

    def holds(self, key: Key) -> bool:
        """Tell whether an account has its id."""
        claim = self._claim(key)
        return claim is not None and not claim.waits

    def rivals(self, key: Key) -> set[Key]:
        """Return the others that claim the id of an account."""
        return set(self._claims.get(self._ids.get(key, ""), {})) - {key}

    def holder(self, wanted: str) -> Claim | None:
        """Return who has the account id, or should; None also where it is kept for others."""
        claims = self._claims.get(wanted, {}).values()
        return min((claim for claim in claims if self._may(wanted, claim)), default=None)

    def _may(self, wanted: str, claim: Claim) -> bool:
        if not claim.waits:
            return True
        kept = self.kept.get(wanted)
        ours = kept is None or kept.namespace == claim.key.namespace
        return ours and claim.uid not in self._barred

    def id_of(self, key: Key) -> str | None:
        """Return the account id that an account claims."""
        return self._ids.get(key)

    def account_ids(self) -> set[str]:
        """Return the account ids that accounts of our shard hold."""
        if self._ours is None:
            return set(self._claims)
        return {name for name in self._claims if self.is_ours(name)}

    def everyones_ids(self) -> set[str]:
        """Return all account ids, those of other shards included."""
        return set(self._claims)

    def is_ours(self, wanted: str) -> bool:
        """Tell whether an account of our shard has an id, or should."""
        holder = self.holder(wanted)
        return holder is not None and (self._ours is None or self._ours(holder.key.namespace))

    def in_namespace(self, namespace: str) -> set[str]:
        """Return the account ids that accounts of `namespace` hold."""
        claims = ((self._ids[key], key) for key in self.keys_in(namespace))
        held = ((wanted, key, self.holder(wanted)) for wanted, key in claims)
        return {wanted for wanted, key, holder in held if holder and holder.key == key}

    def keys_in(self, namespace: str) -> list[Key]:
        """Return the accounts of `namespace`."""
        return [age.key for age in self._by_age.get(namespace, [])]

    def oldest(self, namespace: str, count: int) -> list[Key]:
        """Return the `count` oldest accounts of a namespace, the oldest first."""
        return [age.key for age in self._by_age.get(namespace, [])[:count]]

    def rank(self, age: Age) -> int:
        """Return how many accounts of its namespace are older than this one."""
        return bisect.bisect_left(self._by_age.get(age.key.namespace, []), age)

    def namespaces(self) -> set[str]:
        """Return the namespaces of our shard with accounts."""
        return {name for name in self._by_age if self._ours is None or self._ours(name)}

    def shared(self) -> bool:
        """Tell whether more than one namespace has accounts."""
        return len(self._by_age) > 1

    def _claim(self, key: Key) -> Claim | None:
        return self._claims.get(self._ids.get(key, ""), {}).get(key)

    def _mark(self, key: Key, *, held: bool) -> None:
        if claim := self._claim(key):
            (self._taken.add if held else self._taken.discard)(claim.uid)
            self._claims[self._ids[key]][key] = claim._replace(waits=not held)

    def _put_away(self, key: Key) -> set[Key]:
        held = self._ids.pop(key, None)
        if held is None:
            return set()
        others = self._claims[held]
        gone = others.pop(key)
        ages = self._by_age[key.namespace]
        del ages[bisect.bisect_left(ages, Age(gone.created, gone.uid, key))]
        if not ages:
            del self._by_age[key.namespace]
        if not others:
            del self._claims[held]
        return set(others)


def has_its_id(manifest: Manifest) -> bool:
    """Tell whether an account's status, which only we write, says that it has its id."""
    status = manifest.get("status", {})
    # Who trades had it before there was a word for it.
    return status.get("idHeld") is True or bool(status.get("trader"))


def conflict(index: Index, wanted: str, key: Key) -> str:
    """Return what to do because another account holds the id; empty if `key` does."""
    holder = index.holder(wanted)
    if holder is None:
        kept = index.kept.get(wanted)
        return _kept(wanted, kept) if kept and kept.namespace != key.namespace else ""
    if holder.key == key:
        return ""
    same = holder.key.namespace == key.namespace
    who = f"MT5Account {holder.key.name}" if same else "an MT5Account of another namespace"
    return (
        f"account id {wanted!r} belongs to {who}, which had it first: delete one of the two,"
        " or create this one again with another spec.accountId"
    )


def _kept(wanted: str, kept: Hold) -> str:
    return (
        f"account id {wanted!r} belonged to an MT5Account of another namespace and is kept for one"
        f" there until {kept.until}: wait, create this one again with another spec.accountId, or"
        " have an administrator give it up (docs/install.md)"
    )
