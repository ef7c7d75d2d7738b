# SPDX-License-Identifier: Apache-2.0
"""The objects that an account owns: written when they differ, and only then."""

from __future__ import annotations

from dataclasses import replace

import structlog

from mt5_operator import names
from mt5_operator.cluster.cache import key_of
from mt5_operator.cluster.kinds import ACCOUNT, CONFIG_MAP, STATEFUL_SET, Kind
from mt5_operator.desired.difference import differs
from mt5_operator.desired.files import account_files
from mt5_operator.desired.healed import healed
from mt5_operator.desired.stateful_set import stateful_set, without_pod
from mt5_operator.errors import Refused
from mt5_operator.names import Key
from mt5_operator.reconcile.context import Context
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account, Manifest
from mt5_operator.status.seen import Seen

_log = structlog.get_logger()


def pod_key(account: Account, slot: str) -> Key:
    """Return the key of a slot's pod."""
    return Key(account.key.namespace, names.pod(account.key.name, slot))


async def bring_about(context: Context, account: Account, seen: Seen) -> Seen:
    """Write what differs from what the account asks for; return what was seen with its problem."""
    settings, platform = context.world.settings, seen.platform or Platform.LINUX
    refusals, key = context.refusals, account.key
    files = account_files(account)
    wanted = stateful_set(account, platform, seen.slot, settings)
    wanted = healed(wanted, seen.healing, platform)
    wanted = without_pod(wanted) if seen.held else wanted
    both = {"files": files, "workload": wanted}
    if problem := refusals.standing(key, both):
        return replace(seen, workload_problem=problem)
    try:
        await ensure(context, CONFIG_MAP, files)
        await ensure(context, STATEFUL_SET, wanted)
    except Refused as error:
        problem = f"the API server refuses the pod: {error.message}"
        refusals.add(key, both, problem)
        return replace(seen, workload_problem=problem)
    refusals.forget(key)
    return seen


async def hold(context: Context, manifest: Manifest) -> None:
    """Take hold of an account before anything is made of it: its route must go before its pod."""
    meta = manifest["metadata"]
    if names.FINALIZER not in meta.get("finalizers", []):
        await context.world.api.apply(ACCOUNT, _held(manifest, [names.FINALIZER]))


async def release(context: Context, manifest: Manifest) -> None:
    """Let go of an account that is to be deleted."""
    if names.FINALIZER in manifest["metadata"].get("finalizers", []):
        await context.world.api.apply(ACCOUNT, _held(manifest, []))


async def ensure(context: Context, kind: Kind, wanted: Manifest) -> bool:
    """Apply `wanted` if the cache holds something else; tell whether it did."""
    store = context.world.caches[kind]
    actual = store.get(key_of(wanted))
    if actual is not None and not differs(wanted, actual):
        return False
    written = await context.world.api.apply(kind, wanted)
    store.feed(written)  # so that the next look does not write it again before the watch tells
    _log.info("applied", kind=kind.name, object=str(key_of(wanted)), new=actual is None)
    return True


def _held(manifest: Manifest, finalizers: list[str]) -> Manifest:
    meta = manifest["metadata"]
    # The uid keeps an apply from making a new object where this one is gone.
    place = {name: meta[name] for name in ("name", "namespace", "uid")}
    return {"metadata": place | ({"finalizers": finalizers} if finalizers else {})}
