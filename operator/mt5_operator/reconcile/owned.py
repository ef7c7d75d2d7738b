# SPDX-License-Identifier: Apache-2.0
"""Which objects with an account's names are its own: names say nothing, the account's uid does.

An account may be deleted and created again under its name, for another login, while the garbage
collector has yet to end what the one before had. What is not its own is no pod of the account: it
is never served, never asked to trade, and never written to (docs/adr/076).
"""

from __future__ import annotations

from typing import NamedTuple

from mt5_operator import names
from mt5_operator.cluster.cache import Caches, key_of
from mt5_operator.cluster.kinds import POD, STATEFUL_SET, Kind
from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest


class Owner(NamedTuple):
    """An account, and the pod that its status names as its trader."""

    key: Key
    uid: str
    trader: str = ""


def owner_of(manifest: Manifest) -> Owner:
    """Return the owner that an account's manifest is."""
    meta = manifest["metadata"]
    trader = manifest.get("status", {}).get("trader") or {}
    return Owner(key_of(manifest), meta["uid"], str(trader.get("pod", "")))


def set_key(account: Key, slot: str) -> Key:
    """Return the key of a slot's StatefulSet."""
    return Key(account.namespace, names.stateful_set(account.name, slot))


def pod_key(account: Key, slot: str) -> Key:
    """Return the key of a slot's pod."""
    return Key(account.namespace, names.pod(account.name, slot))


class Place(NamedTuple):
    """What a slot's names stand for: the account's own objects, or what takes their place."""

    stateful_set: Manifest | None
    pod: Manifest | None
    # Of another owner: nothing may be made here.
    taken: str
    # What is controlled by another than it should be by these names (`leftovers`).
    astray: tuple[tuple[Kind, Manifest], ...] = ()


def place(caches: Caches, owner: Owner, slot: str) -> Place:
    """Return what is there of a slot."""
    found_set = caches[STATEFUL_SET].get(set_key(owner.key, slot))
    found_pod = caches[POD].get(pod_key(owner.key, slot))
    its_set = found_set if found_set and _controller(found_set) == owner.uid else None
    its_pod = found_pod if found_pod and _is_its_pod(found_pod, owner, its_set) else None
    taken = ""
    if found_set and not its_set:
        taken = f"StatefulSet {names.stateful_set(owner.key.name, slot)}"
    elif found_pod and not its_pod:
        taken = f"Pod {names.pod(owner.key.name, slot)}"
    return Place(its_set, its_pod, taken, _astray(found_set, found_pod, owner))


def _astray(
    found_set: Manifest | None, found_pod: Manifest | None, owner: Owner
) -> tuple[tuple[Kind, Manifest], ...]:
    set_uid = found_set["metadata"]["uid"] if found_set else ""
    found = ((STATEFUL_SET, found_set, owner.uid), (POD, found_pod, set_uid))
    return tuple((kind, each) for kind, each, uid in found if each and _controller(each) != uid)


def _is_its_pod(found: Manifest, owner: Owner, its_set: Manifest | None) -> bool:
    mark = found["metadata"].get("labels", {}).get(names.ACCOUNT_UID_LABEL)
    if mark is not None:
        return bool(mark == owner.uid)
    # Made by an operator that did not mark pods yet.
    if found["metadata"]["uid"] == owner.trader:
        return True
    return its_set is not None and _controller(found) == its_set["metadata"]["uid"]


def controller_of(manifest: Manifest) -> Manifest:
    """Return the reference to the owner that controls an object; empty if none does."""
    owners: list[Manifest] = manifest["metadata"].get("ownerReferences", [])
    return next((each for each in owners if each.get("controller")), {})


def _controller(manifest: Manifest) -> str:
    return str(controller_of(manifest).get("uid", ""))
