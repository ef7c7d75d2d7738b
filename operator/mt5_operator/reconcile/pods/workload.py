# SPDX-License-Identifier: Apache-2.0
"""The objects that an account owns: written when they differ, and only then."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

import structlog

from mt5_operator import names
from mt5_operator.cluster.cache import key_of
from mt5_operator.cluster.kinds import ACCOUNT, CONFIG_MAP, STATEFUL_SET, Kind
from mt5_operator.desired.difference import differs
from mt5_operator.desired.files import account_files
from mt5_operator.desired.healed import healed
from mt5_operator.desired.stateful_set import stateful_set
from mt5_operator.desired.volumes import claimed, with_claim
from mt5_operator.errors import ApiUnavailable, Conflict, NotFound, Refused
from mt5_operator.moving.stands import Stand
from mt5_operator.names import Key
from mt5_operator.reconcile import owned
from mt5_operator.reconcile.context import Context
from mt5_operator.reconcile.owned import Owner
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account, Manifest
from mt5_operator.status.seen import Seen

_log = structlog.get_logger()


async def bring_about(
    context: Context, account: Account, seen: Seen, wanted: Mapping[str, Stand]
) -> Seen:
    """Write what differs from what the account asks for; return what was seen with its problem."""
    key = account.key
    if seen.held:
        # Nothing of it runs (`line.stand`): it has no pod until its turn comes.
        wanted = {slot: replace(s, replicas=0) if s.there else s for slot, s in wanted.items()}
    basis = _basis(context, account, seen, wanted)
    if context.settled.get(key) == basis:
        return seen
    context.settled.pop(key, None)
    files, renewed = account_files(account), _renewed(context, account, seen, wanted)
    all_of_it = {"files": files, "workloads": renewed}
    if problem := context.refusals.standing(key, all_of_it):
        return replace(seen, workload_problem=problem)
    # What a misspelt spec says of trading, say, waits as well.
    wanted_files = [] if seen.unknown_fields else [files]
    done, problem = await _written(context, key, wanted_files, list(renewed.values()))
    if problem:
        context.refusals.add(key, all_of_it, problem)
        return replace(seen, workload_problem=problem)
    context.refusals.forget(key)
    kept = {slot: stand for slot, stand in wanted.items() if slot not in renewed}
    done += [await _kept(context, account, slot, stand) for slot, stand in kept.items()]
    if not any(done):
        context.settled[key] = basis
    return seen


async def _written(
    context: Context, key: Key, files: list[Manifest], workloads: list[Manifest]
) -> tuple[list[bool], str]:
    """Write what differs; return what did, and why the API server does not take it."""
    try:
        done = [await ensure(context, CONFIG_MAP, each) for each in files]
        done += [await ensure(context, STATEFUL_SET, each) for each in workloads]
    except Refused as error:
        return [], f"the API server refuses the pod: {error.message}"
    except ApiUnavailable as error:
        # If it is away altogether, the status will not be written either.
        if not context.refusals.unanswered(key, busy=error.busy):
            raise
        return [], f"the API server does not take the pod: {error}"
    return done, ""


def _renewed(
    context: Context, account: Account, seen: Seen, wanted: Mapping[str, Stand]
) -> dict[str, Manifest]:
    renewed = {slot: stand for slot, stand in wanted.items() if stand.there and stand.renewed}
    platform = seen.platform or Platform.LINUX
    return {
        slot: healed(_set(context, account, platform, slot, stand), seen.healing, platform)
        for slot, stand in renewed.items()
    }


def _set(
    context: Context, account: Account, platform: Platform, slot: str, stand: Stand
) -> Manifest:
    world, owner = context.world, Owner(account.key, account.uid)
    there = owned.place(world.caches, owner, slot).stateful_set or {"spec": {}}
    selector = there["spec"].get("selector", {}).get("matchLabels")
    account = with_claim(account, claimed(there))
    return stateful_set(
        account, platform, slot, world.settings, replicas=stand.replicas, selector=selector
    )


def _basis(context: Context, account: Account, seen: Seen, wanted: Mapping[str, Stand]) -> int:
    """Return a word for all that an account's objects are made of, and the versions that there are.

    Comparing them whole is most of what a look costs that finds nothing to do; the word alone is
    kept, because there is one for each of thousands of accounts.
    """
    caches, (space, name) = context.world.caches, account.key
    entries = [caches[CONFIG_MAP].entry(Key(space, names.account_files(name)))]
    sets = caches[STATEFUL_SET]
    entries += [sets.entry(owned.set_key(account.key, slot)) for slot in names.SLOTS]
    there = tuple((entry.uid, entry.version) if entry else None for entry in entries)
    asked = (account.uid, account.generation, seen.unknown_fields)
    return hash((*asked, seen.platform, seen.healing, tuple(wanted.items()), there))


async def _kept(context: Context, account: Account, slot: str, stand: Stand) -> bool:
    """Scale or remove a slot whose template stays as it is; tell whether that was to be done."""
    key = owned.set_key(account.key, slot)
    store = context.world.caches[STATEFUL_SET]
    manifest = store.get(key)
    if manifest is None or "deletionTimestamp" in manifest["metadata"]:
        return False
    uid = manifest["metadata"]["uid"]
    if not stand.there:
        with contextlib.suppress(NotFound, Conflict):
            await context.world.api.delete(STATEFUL_SET, key, uid=uid)
            _log.info("slot removed", object=str(key))
        return True
    if manifest["spec"].get("replicas") == stand.replicas:
        return False
    patch = {"metadata": {"uid": uid}, "spec": {"replicas": stand.replicas}}
    written = await context.world.api.merge(STATEFUL_SET, key, patch, manager=names.MANAGER)
    store.feed(written)
    _log.info("slot scaled", object=str(key), replicas=stand.replicas)
    return True


async def hold(context: Context, manifest: Manifest) -> None:
    """Take hold of an account before anything is made of it: its route must go before its pod."""
    meta = manifest["metadata"]
    if names.FINALIZER in meta.get("finalizers", []):
        return
    # The uid keeps an apply from making a new object where this one is gone.
    place = {name: meta[name] for name in ("name", "namespace", "uid")}
    await context.world.api.apply(ACCOUNT, {"metadata": place | {"finalizers": [names.FINALIZER]}})


async def release(context: Context, manifest: Manifest) -> None:
    """Let go of an account that is to be deleted.

    By its whole list, as of what was looked at: an apply would leave a finalizer that came with
    somebody's manifest, such as one of a backup, and the account would never go.
    """
    meta = manifest["metadata"]
    finalizers = meta.get("finalizers", [])
    if names.FINALIZER not in finalizers:
        return
    rest = [name for name in finalizers if name != names.FINALIZER]
    seen = {name: meta[name] for name in ("uid", "resourceVersion")}
    patch = {"metadata": seen | {"finalizers": rest}}
    key = Key(meta["namespace"], meta["name"])
    await context.world.api.merge(ACCOUNT, key, patch, manager=names.MANAGER)


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
