# SPDX-License-Identifier: Apache-2.0
"""Hurry the kubelet: new files now, and no pod that is stuck on an old revision.

A kubelet looks at mounted Secrets and ConfigMaps about every 90 s, and at once when the pod's
object changes; so an annotation is changed. In a normal start nothing is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from mt5_operator import names
from mt5_operator.cluster.cache import changed_at
from mt5_operator.cluster.kinds import CONFIG_MAP, POD, STATEFUL_SET
from mt5_operator.errors import Conflict, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.feed import wrote
from mt5_operator.reconcile.owned import pod_key, set_key
from mt5_operator.spec.parse import Account, Manifest
from mt5_operator.status.seen import PodSeen, Seen, SidecarSeen

_log = structlog.get_logger()


async def refresh(
    context: Context,
    account: Account,
    seen: Seen,
    pods: Mapping[str, PodSeen | None],
    sidecars: Mapping[str, SidecarSeen | None],
) -> None:
    """Do what the pods of an account need to see the newest files, or to be replaced."""
    for slot, pod in pods.items():
        key = pod_key(account.key, slot)
        manifest = context.world.caches[POD].get(key)
        if manifest is None or pod is None or pod.ending:
            continue
        wanted = _credentials(manifest, seen, sidecars[slot]) | _files(context, account, manifest)
        try:
            if wanted:
                await _annotate(context, manifest, wanted)
            if stuck(context, account, pod, sidecars[slot], slot):
                await replace_pod(context, manifest, why="it is of an old revision")
        except (NotFound, Conflict):
            continue  # another pod by now


def _credentials(pod: Manifest, seen: Seen, sidecar: SidecarSeen | None) -> dict[str, str]:
    # Only where a login failed: a fresh pod mounts the newest Secret by itself.
    failed = sidecar is not None and sidecar.credentials in ("Invalid", "Missing")
    there, version = _annotations(pod).get(names.CREDENTIALS_VERSION), seen.secret_version
    changed = bool(version) and not seen.secret_problem and there != version
    return {names.CREDENTIALS_VERSION: version} if failed and changed else {}


def _files(context: Context, account: Account, pod: Manifest) -> dict[str, str]:
    """Return the newest version of the mounted ConfigMaps, if they changed after the pod began."""
    maps = [names.account_files(account.key.name), names.ACCESS]
    store = context.world.caches[CONFIG_MAP]
    found = [store.get(Key(account.key.namespace, name)) for name in maps]
    born = pod["metadata"]["creationTimestamp"]
    versions = [int(m["metadata"]["resourceVersion"]) for m in found if m and changed_at(m) > born]
    newest = str(max(versions, default=0))
    if newest == "0" or _annotations(pod).get(names.FILES_VERSION) == newest:
        return {}
    return {names.FILES_VERSION: newest}


async def _annotate(context: Context, pod: Manifest, wanted: dict[str, str]) -> None:
    meta = pod["metadata"]
    key = Key(meta["namespace"], meta["name"])
    patch = {"metadata": {"uid": meta["uid"], "annotations": wanted}}
    written = await context.world.api.merge(POD, key, patch, manager=names.FILES_MANAGER)
    wrote(context.world, POD, pod, written, ours="annotations")
    _log.info(
        "files refreshed", pod=str(key), **{k.rpartition("/")[2]: v for k, v in wanted.items()}
    )


def stuck(
    context: Context, account: Account, pod: PodSeen, sidecar: SidecarSeen | None, slot: str
) -> bool:
    """Tell whether a pod that hangs keeps one of a newer template from starting.

    The revision alone would not do: an upgrade of the operator may change it, and a pod whose
    broker is away just then is none that should be replaced.
    """
    manifest = context.world.caches[STATEFUL_SET].get(set_key(account.key, slot))
    if manifest is None or not hangs(context.world, pod, sidecar):
        return False
    newest = manifest.get("status", {}).get("updateRevision", pod.revision)
    template = manifest["spec"]["template"]["metadata"].get("annotations", {}).get(names.TEMPLATE)
    return bool(pod.revision) and pod.revision != newest and pod.template != template


def hangs(world: World, pod: PodSeen | None, sidecar: SidecarSeen | None) -> bool:
    """Tell whether a pod has long not been ready, and its sidecar says nothing.

    Of one that does, the journal can be handed over. On a node that nobody hears nothing can be
    replaced, and it may be well when it is heard.
    """
    if pod is None or pod.lost:
        return False
    silent = sidecar is None or bool(sidecar.error)
    return silent and not_ready_s(world, pod) >= world.settings.stuck_pod_s


def not_ready_s(world: World, pod: PodSeen | None) -> float:
    """Return for how long a pod is not ready, in seconds; 0 if it is, or if there is none."""
    if pod is None or pod.ready or not pod.not_ready_since:
        return 0
    since = datetime.fromisoformat(pod.not_ready_since).astimezone(UTC)
    return (world.now() - since).total_seconds()


async def replace_pod(context: Context, pod: Manifest, *, why: str, version: str = "") -> None:
    """Have a pod replaced: the one seam through which anybody asks for a new one.

    With `version` (a resourceVersion), only if it did not change since.

    Raises:
        NotFound, Conflict: it is another pod by now, or has changed.
    """
    meta = pod["metadata"]
    key = Key(meta["namespace"], meta["name"])
    await context.world.api.delete(POD, key, uid=meta["uid"], version=version)
    _log.info("pod deleted", pod=str(key), why=why)


def _annotations(pod: Manifest) -> dict[str, str]:
    found: dict[str, str] = pod["metadata"].get("annotations", {})
    return found
