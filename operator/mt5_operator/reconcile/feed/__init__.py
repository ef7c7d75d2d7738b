# SPDX-License-Identifier: Apache-2.0
"""Turn what the watches tell into fresher caches and due keys. Does no I/O."""

from __future__ import annotations

from typing import Any, Final

from mt5_operator import names
from mt5_operator.cluster.cache import key_of, somebody_elses
from mt5_operator.cluster.kinds import ACCOUNT, BROKER, CONFIG_MAP, NODE, POD, Kind
from mt5_operator.names import Key
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.feed import broker_feed
from mt5_operator.reconcile.quota import quota
from mt5_operator.spec.parse import Manifest

# Known to every shard: places on nodes, who has which account id, what is known of brokers.
_EVERYONES: Final = (ACCOUNT, NODE, BROKER)


def feed(world: World, kind: Kind, event: str | None, manifest: Manifest) -> None:
    """Take in one watch event."""
    key = key_of(manifest)
    if kind not in _EVERYONES and not world.owns(key.namespace):
        return
    if kind is POD:
        world.ended.hear(key, manifest)
    if event == "DELETED":
        world.caches[kind].drop(key, manifest["metadata"]["uid"])
        gone(world, kind, key)
        return
    before = world.caches[kind].get(key) if kind is NODE else None
    if not world.caches[kind].feed(manifest):
        return
    if kind is NODE and _place(before) != _place(manifest):
        _add(world, world.homeless | world.hosted.on(key.name))
    if kind is BROKER:
        broker_feed.fed(world, manifest)
        return
    if kind is ACCOUNT:
        broker_feed.fed_account(world, key, manifest)
        known = world.index.id_of(key)
        others = world.index.keep(manifest)
        changed = {key} if world.index.id_of(key) != known else set()
        _claims_changed(world, others | changed)
    _add(world, concerned(kind, manifest))


def wrote(world: World, kind: Kind, before: Manifest, written: Manifest, *, ours: str) -> None:
    """Take in the answer to a write of ours: no news, but for what others wrote meanwhile."""
    if somebody_elses(kind, before, written, ours=ours):
        feed(world, kind, "MODIFIED", written)
    else:
        world.caches[kind].feed(written)


def gone(world: World, kind: Kind, key: Key) -> None:
    """Take in that an object is not there any more."""
    if kind is BROKER:
        broker_feed.dropped(world, key.name)
    elif kind is ACCOUNT:
        world.directory.drop_client(key)
        world.ended.forget(key)
        _claims_changed(world, world.index.drop(key) | {key})
        _quota_moves_on(world, key.namespace)
    elif kind is CONFIG_MAP and key.name == names.ACCESS:
        world.queue.add(Key(key.namespace, ""))
    elif kind is NODE:
        _add(world, world.hosted.on(key.name))
    else:
        _add(world, {Key(key.namespace, _account(key.name))})


def concerned(kind: Kind, manifest: Manifest) -> set[Key]:
    """Return the keys that should look again because of `manifest`; `""` names a namespace."""
    key = key_of(manifest)
    if kind is ACCOUNT:
        return {key}
    if kind is NODE:
        return set()  # only accounts that wait for one are concerned
    if key.name == names.ACCESS:
        return {Key(key.namespace, "")}
    account = manifest["metadata"].get("labels", {}).get(names.ACCOUNT_LABEL)
    return {Key(key.namespace, account)} if account else set()


def _claims_changed(world: World, keys: set[Key]) -> None:
    # Who may call the sidecars of a namespace depends on who has which account id.
    _add(world, keys | {Key(key.namespace, "") for key in keys})


def _quota_moves_on(world: World, namespace: str) -> None:
    # Who was one too many may have come within the quota.
    if limit := quota(world.settings, namespace):
        _add(world, set(world.index.oldest(namespace, limit)[-1:]))


def _add(world: World, keys: set[Key]) -> None:
    for key in set(keys):
        world.queue.add(key)


def _place(node: Manifest | None) -> tuple[Any, Any]:
    # What placement asks of a node; its heartbeats are no news.
    meta, spec = (node or {}).get("metadata", {}), (node or {}).get("spec", {})
    return meta.get("labels"), spec


def _account(name: str) -> str:
    # `<account>-account`, `<account>-a`, `<account>-a-0`: a key too many does no harm.
    stem = name.removesuffix("-0")
    return stem.rpartition("-")[0] or stem
