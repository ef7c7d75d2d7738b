# SPDX-License-Identifier: Apache-2.0
"""Give the pod that trades other resources as it is, where the cluster can (Kubernetes 1.33).

Everything that keeps a pod from it ends in a move to the other slot, as any other change of a
template does: no such subresource, a limit that may not fall, no room on the node, a kubelet that
does not answer. Such a kubelet is asked for no other pod for a while: one that panics at a resize
does so for as long as the pod is there (docs/updates.md). So that it is found out by one pod and
not by all, a node's first pod goes alone. What was given up, and which kubelets answered, is known
to this process only; another leader may try once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import structlog

from mt5_operator import metrics, names
from mt5_operator.cluster.kinds import POD
from mt5_operator.desired.stateful_set import pod_spec
from mt5_operator.desired.template import shape_id
from mt5_operator.errors import Conflict, NotFound, Refused
from mt5_operator.moving.look import Look
from mt5_operator.moving.need import moves_anyway
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, micro_text
from mt5_operator.reconcile.feed import wrote
from mt5_operator.reconcile.owned import pod_key
from mt5_operator.reconcile.pods.slots import Both
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account, Manifest

_log = structlog.get_logger()
Resources = dict[str, dict[str, str]]


def applies(context: Context, account: Account, look: Look, both: Both) -> bool:
    """Tell whether all that an account needs is other resources for the pod that trades."""
    trader, settings = look.trader, context.world.settings
    if not settings.resize_in_place or trader is None or look.move or look.suspended:
        return False
    pod, seen = look.slot(trader.slot).pod, both.pods[trader.slot]
    if pod is None or seen is None or pod.uid != trader.pod or pod.ending:
        return False
    if pod.template == look.template or moves_anyway(look, pod):
        _wake(context, context.resizes.over(account.key))
        return False
    tried = context.resizes
    shape = shape_id(account, Platform(look.platform), settings)
    if seen.shape != shape or tried.hopeless(account.key, pod.uid, look.template):
        return False
    return tried.tries(account.key) or tried.answers(
        pod.node, again_s=settings.resize_silent_node_s
    )


async def take(context: Context, manifest: Manifest, account: Account, look: Look) -> None:
    """Ask for the resources, or see whether the pod has them by now.

    Raises:
        ApiError, ApiUnavailable: it was not written; try again.
    """
    trader = look.trader
    pod = context.world.caches[POD].get(pod_key(account.key, trader.slot)) if trader else None
    if trader is None or pod is None or pod["metadata"]["uid"] != trader.pod:
        return
    settings, node = context.world.settings, str(pod["spec"].get("nodeName", ""))
    if not context.resizes.may_ask(
        account.key, node, trust_s=settings.resize_trust_s, patience_s=_patience_s(settings)
    ):
        return
    wanted = _wanted(context, account, look, trader.slot)
    begun = context.resizes.begin(account.key, trader.pod, look.template)
    try:
        pod, problem = await _asked(context, pod, wanted)
    except Conflict:
        return  # another pod by now
    problem = problem or refusal(pod)
    late = begun >= settings.resize_deadline_s
    done = not problem and has(pod, wanted)
    if done or _answered(pod):
        _wake(context, context.resizes.answered(node))
    if done:
        await _done(context, manifest, pod, look)
    elif problem or late:
        if not problem and not _answered(pod):
            _wake(context, context.resizes.unanswered(node))
        await _given_up(context, manifest, pod, look, problem or _pending(pod))


def next_s(context: Context, key: Key) -> float | None:
    """Return the seconds until a look is due that no watch tells of; None if nothing is tried."""
    settings = context.world.settings
    deadline_s, patience_s = settings.resize_deadline_s, _patience_s(settings)
    return context.resizes.next_s(key, deadline_s=deadline_s, patience_s=patience_s)


def _patience_s(settings: Settings) -> float:
    # Whoever is first ends by its deadline, if only its account's reconciles go on.
    return 2 * settings.resize_deadline_s


def _wake(context: Context, waiting: set[Key]) -> None:
    for key in waiting:
        context.world.queue.add(key)


async def _asked(
    context: Context, pod: Manifest, wanted: dict[str, Resources]
) -> tuple[Manifest, str]:
    """Return the pod with what was asked for, and why it cannot be."""
    change: dict[str, list[dict[str, Any]]] = {}
    for group, spec in _containers(pod):
        name = spec["name"]
        if name in wanted and not _same(spec.get("resources", {}), wanted[name]):
            change.setdefault(group, []).append({"name": name, "resources": wanted[name]})
    if not change:
        return pod, ""
    meta = pod["metadata"]
    key = Key(meta["namespace"], meta["name"])
    try:
        written = await context.world.api.resize(
            key, {"metadata": {"uid": meta["uid"]}, "spec": change}
        )
    except NotFound:
        return pod, "the cluster does not change the resources of pods that run"
    except Refused as error:
        return pod, error.message
    wrote(context.world, POD, pod, written, ours="spec")
    _log.info("resize asked for", pod=str(key), containers=[*_names(change)])
    left = [
        spec["name"]
        for _, spec in _containers(written)
        if spec["name"] in wanted and not _same(spec.get("resources", {}), wanted[spec["name"]])
    ]
    # What is not asked for any more cannot be taken away from a pod that runs.
    return written, f"{', '.join(left)} cannot be without what it has" if left else ""


def _wanted(context: Context, account: Account, look: Look, slot: str) -> dict[str, Resources]:
    platform = Platform(look.platform)
    spec = pod_spec(account, platform, slot, context.world.settings)
    return {each["name"]: each["resources"] for _, each in _containers({"spec": spec})}


def has(pod: Manifest, wanted: dict[str, Resources]) -> bool:
    """Tell whether the kubelet says that the containers run with what is asked for."""
    status = pod.get("status", {})
    if _condition(pod, "PodResizePending") or _condition(pod, "PodResizeInProgress"):
        return False
    told = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    found = {each["name"]: each.get("resources") for each in told}
    return all(_same(found.get(name) or {}, resources) for name, resources in wanted.items())


def _same(found: dict[str, Any], wanted: Resources) -> bool:
    limits = wanted.get("limits", {})
    # A request that is not named is the limit.
    requests = limits | wanted.get("requests", {})
    return bool(found.get("limits", {}) == limits and found.get("requests", {}) == requests)


def refusal(pod: Manifest) -> str:
    """Return why the kubelet will never do it; empty while it may."""
    pending = _condition(pod, "PodResizePending")
    infeasible = pending.get("reason") == "Infeasible"
    return str(pending.get("message") or "the node can never do it") if infeasible else ""


def _answered(pod: Manifest) -> bool:
    """Tell whether the kubelet said why it does not do it: no room now, or an error of its own."""
    trouble = _condition(pod, "PodResizeInProgress").get("reason")
    return bool(_condition(pod, "PodResizePending") or trouble)


def _pending(pod: Manifest) -> str:
    told = _condition(pod, "PodResizePending") or _condition(pod, "PodResizeInProgress")
    return str(told.get("message") or "the kubelet did not do it in time")


def _condition(pod: Manifest, kind: str) -> dict[str, Any]:
    found = pod.get("status", {}).get("conditions", [])
    is_true = (item for item in found if item["type"] == kind and item["status"] == "True")
    return next(is_true, {})


def _containers(pod: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    for group in ("initContainers", "containers"):
        yield from ((group, each) for each in pod["spec"].get(group, []))


def _names(change: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    return (each["name"] for group in change.values() for each in group)


async def _done(context: Context, manifest: Manifest, pod: Manifest, look: Look) -> None:
    meta = pod["metadata"]
    key = Key(meta["namespace"], meta["name"])
    patch = {"metadata": {"uid": meta["uid"], "annotations": {names.TEMPLATE: look.template}}}
    try:
        written = await context.world.api.merge(POD, key, patch, manager=names.FILES_MANAGER)
    except (NotFound, Conflict):
        return  # another pod by now
    wrote(context.world, POD, pod, written, ours="annotations")
    account = Key(meta["namespace"], manifest["metadata"]["name"])
    _wake(context, context.resizes.over(account))
    context.world.queue.add(account)  # the StatefulSet learns of it now
    metrics.RESIZES.labels("Done").inc()
    _log.info("resized", pod=str(key))
    await _tell(context, manifest, Reason.RESIZED, "the pod got other resources in place")


async def _given_up(
    context: Context, manifest: Manifest, pod: Manifest, look: Look, why: str
) -> None:
    meta = pod["metadata"]
    account = Key(meta["namespace"], manifest["metadata"]["name"])
    _wake(context, context.resizes.give_up(account, meta["uid"], look.template))
    context.world.queue.add(account)
    metrics.RESIZES.labels("GivenUp").inc()
    _log.info("not resized, moves instead", account=str(account), why=why)
    note = f"other resources need a move to the other slot: {why}"
    await _tell(context, manifest, Reason.NOT_RESIZED, note)


async def _tell(context: Context, manifest: Manifest, reason: Reason, note: str) -> None:
    now = micro_text(context.world.now())
    await context.events.tell(manifest, reason.value, note, warning=False, now=now)
