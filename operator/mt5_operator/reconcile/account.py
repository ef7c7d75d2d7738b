# SPDX-License-Identifier: Apache-2.0
"""One account: look, compare, bring about, tell. Every step may be the last before a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mt5_operator import placement
from mt5_operator.capacity import Place, told, waiting
from mt5_operator.cluster.kinds import ACCOUNT, POD
from mt5_operator.desired.containers import terminal_image
from mt5_operator.errors import InvalidSpec
from mt5_operator.healing import budget
from mt5_operator.names import Key
from mt5_operator.reconcile import (
    claims,
    deletion,
    heal,
    refresh,
    refused,
    routing,
    telling,
    workload,
)
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.index import conflict
from mt5_operator.reconcile.quota import exceeded
from mt5_operator.reconcile.secrets import SecretSeen
from mt5_operator.sidecars.client import Target
from mt5_operator.spec.account import BrokerCompatibility, Platform
from mt5_operator.spec.parse import Account, Manifest, account, unknown_fields
from mt5_operator.status.seen import PodSeen, Seen, SidecarSeen, pod_seen

SLOT = "a"
# What a sidecar says of its credentials when only a changed Secret helps.
_NEEDS_SECRET: Final = ("Invalid", "Missing")


async def reconcile(context: Context, key: Key) -> float | None:
    """Bring about what an account asks for; return the seconds until a next look is due.

    Raises:
        ApiError, ApiUnavailable: something is left to do; try again.
    """
    manifest = context.world.caches[ACCOUNT].get(key)
    if manifest is None:
        await deletion.forget(context, key)
        return None
    if "deletionTimestamp" in manifest["metadata"]:
        await deletion.let_go(context, manifest)
        return None
    try:
        wanted = account(manifest)
    except InvalidSpec as error:
        return await _refused(context, manifest, str(error))
    return await _live(context, manifest, wanted)


async def _refused(context: Context, manifest: Manifest, told: str) -> float | None:
    generation = manifest["metadata"]["generation"]
    spent = budget(manifest.get("status", {}), generation)
    seen = Seen(generation=generation, invalid=told, healing=spent)
    seen = await refused.follow(context, manifest, seen)
    await telling.tell(context, manifest, seen)
    return context.world.settings.secret_recheck_s if seen.route.problem else None


async def _live(context: Context, manifest: Manifest, wanted: Account) -> float | None:
    world = context.world
    pod = _pod(context, wanted)
    sidecar = _sidecar(context, wanted, pod)
    secret = await _secret(context, wanted, sidecar, pod)
    seen = _seen(context, manifest, wanted, secret, pod, sidecar)
    seen = replace(seen, conflict=await claims.take(context, manifest))
    if not seen.conflict and not seen.unknown_fields and not seen.quota:
        seen = await workload.bring_about(context, wanted, seen)
    if not _first_look_is_due(pod, sidecar):
        seen = await routing.route(context, wanted, seen)
        seen, step = heal.advised(context, wanted, seen)
        await telling.tell(context, manifest, seen)
        await refresh.refresh(context, wanted, seen, secret)
        await heal.take(context, manifest, wanted, seen, step)
    _await_nodes(world, wanted.key, seen)
    return _next_look_s(context, wanted.key, seen)


def _pod(context: Context, wanted: Account) -> PodSeen | None:
    manifest = context.world.caches[POD].get(workload.pod_key(wanted, SLOT))
    return pod_seen(manifest) if manifest else None


def _sidecar(context: Context, wanted: Account, pod: PodSeen | None) -> SidecarSeen | None:
    if pod is None or not pod.ip or pod.ending or pod.phase != "Running":
        context.watcher.forget(wanted.key)
        return None
    return context.watcher.watch(wanted.key, Target(pod.uid, pod.ip), ready=pod.ready)


def _first_look_is_due(pod: PodSeen | None, sidecar: SidecarSeen | None) -> bool:
    # A new leader must not judge a running pod before its sidecar was asked once.
    runs = pod is not None and bool(pod.ip) and not pod.ending and pod.phase == "Running"
    return runs and sidecar is None


async def _secret(
    context: Context, wanted: Account, sidecar: SidecarSeen | None, pod: PodSeen | None
) -> SecretSeen:
    settings = context.world.settings
    refused = sidecar is not None and sidecar.credentials in _NEEDS_SECRET
    soon_s = settings.secret_recheck_s * 0.5
    ref = wanted.spec.credentials_secret_ref
    return await context.secrets.look(
        wanted.key.namespace,
        ref,
        max_age_s=soon_s if refused or pod is None else settings.resync_s * 0.9,
        problem_age_s=soon_s,
    )


def _seen(
    context: Context,
    manifest: Manifest,
    wanted: Account,
    secret: SecretSeen,
    pod: PodSeen | None,
    sidecar: SidecarSeen | None,
) -> Seen:
    world, spec = context.world, wanted.spec
    platform = placement.platform(spec.broker_compatibility)
    waits = pod is None or not pod.node
    nodes = world.caches.nodes() if waits else []
    place = _in_line(context, wanted, platform, pod)
    return Seen(
        generation=wanted.generation,
        account_id=spec.id,
        platform=platform,
        chosen_by_user=spec.broker_compatibility is not BrokerCompatibility.AUTO,
        suspended=spec.suspend,
        slot=SLOT,
        image=terminal_image(wanted, platform, world.settings),
        unknown_fields=unknown_fields(manifest),
        quota=exceeded(world, wanted),
        secret=f"Secret {spec.credentials_secret_ref.name}, key {spec.credentials_secret_ref.key}",
        secret_problem=secret.problem,
        no_capacity=placement.no_capacity(platform, nodes, world.settings) if waits else "",
        place=told(place, platform) if place else "",
        held=bool(place and place.held),
        healing=budget(manifest.get("status", {}), wanted.generation),
        pod=pod,
        sidecar=sidecar,
        overdue=refresh.not_ready_s(world, pod) > world.settings.agent_patience_s,
    )


def _in_line(
    context: Context, wanted: Account, platform: Platform, pod: PodSeen | None
) -> Place | None:
    world, room = context.world, context.admission
    stands_aside = wanted.spec.suspend or bool(conflict(world.index, wanted.spec.id, wanted.key))
    if stands_aside or exceeded(world, wanted):
        room.leave(wanted.key, None)
        return None
    if pod is not None and pod.node:
        room.leave(wanted.key, platform)
        return None
    return room.wait(waiting(wanted, platform, pod.unschedulable if pod else ""))


def _await_nodes(world: World, key: Key, seen: Seen) -> None:
    if seen.no_capacity and not seen.suspended:
        world.homeless.add(key)
    else:
        world.homeless.discard(key)


def _next_look_s(context: Context, key: Key, seen: Seen) -> float | None:
    """Return when to look without being told: only for what no watch and no sidecar tells."""
    settings = context.world.settings
    looks: list[float] = []
    if (heal_s := context.healer.next_s(key)) is not None:
        looks.append(heal_s)
    if seen.route.problem or _secret_may_change(seen):
        looks.append(settings.secret_recheck_s)
    if seen.workload_problem and (again_s := context.refusals.next_s(key)):
        looks.append(again_s)
    if unready_s := refresh.not_ready_s(context.world, seen.pod):
        # A moment later, because the pod's times are in whole seconds.
        ends = (settings.stuck_pod_s, settings.agent_patience_s)
        looks += [end - unready_s + 0.1 for end in ends if end >= unready_s]
    return min(looks, default=None)


def _secret_may_change(seen: Seen) -> bool:
    if seen.suspended or seen.conflict:
        return False
    refused = seen.sidecar is not None and seen.sidecar.credentials in _NEEDS_SECRET
    return refused or bool(seen.secret_problem)
