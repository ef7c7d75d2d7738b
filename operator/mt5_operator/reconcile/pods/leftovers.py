# SPDX-License-Identifier: Apache-2.0
"""Remove what a deleted owner left under an account's names, if Kubernetes has forgotten it.

The garbage collector hears of an owner's end from its watch. If that was broken while the owner was
deleted and created again under its name, it lists the new one in place of the old, and never
hears: what the old one had stays for as long as the controller manager runs, and the account could
not begin. Removing it is what the collector does; here, too, the API server itself is asked first
(docs/adr/096).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from mt5_operator import metrics
from mt5_operator.cluster.cache import key_of
from mt5_operator.cluster.kinds import ACCOUNT, POD, STATEFUL_SET, Kind
from mt5_operator.errors import Conflict, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.owned import Place, controller_of
from mt5_operator.spec.parse import Manifest

_log = structlog.get_logger()

# The kinds of owners that are ours to judge.
_OWNERS: Final[Mapping[Kind, Kind]] = {STATEFUL_SET: ACCOUNT, POD: STATEFUL_SET}


async def remove(world: World, places: Iterable[Place]) -> None:
    """Remove what is at the names of slots and whose owner is gone for certain.

    Raises:
        ApiError, ApiUnavailable: something may be left; try again.
    """
    for kind, manifest in (each for place in places for each in place.astray):
        if "deletionTimestamp" in manifest["metadata"]:
            continue
        if await _owner_is_gone(world, kind, manifest):
            await _remove(world, kind, manifest)


async def _owner_is_gone(world: World, kind: Kind, manifest: Manifest) -> bool:
    """Tell whether an object had an owner that is no more; one without an owner is somebody's."""
    owner = controller_of(manifest)
    if owner.get("kind") != _OWNERS[kind].name:
        return False
    # A name has one object at a time: what we saw had its owner before we ask, and if the name is
    # another's now, or nobody's, that owner is gone. Our caches alone may be older than the owner.
    try:
        key = Key(manifest["metadata"]["namespace"], owner["name"])
        there = await world.api.get(_OWNERS[kind], key)
    except NotFound:
        return True
    return bool(there["metadata"]["uid"] != owner["uid"])


async def _remove(world: World, kind: Kind, manifest: Manifest) -> None:
    meta, key = manifest["metadata"], key_of(manifest)
    # By its version, too: whoever orphans objects on purpose takes their owner from them first.
    with contextlib.suppress(NotFound, Conflict):
        await world.api.delete(kind, key, uid=meta["uid"], version=meta["resourceVersion"])
        metrics.LEFTOVERS_REMOVED.labels(kind.name).inc()
        _log.warning("leftover of a deleted owner removed", kind=kind.name, object=str(key))
