# SPDX-License-Identifier: Apache-2.0
"""One account: look, compare, bring about, tell. Every step may be the last before a crash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from mt5_operator import placement
from mt5_operator.brokers.choice import Choice
from mt5_operator.capacity import told
from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.desired.containers import terminal_image
from mt5_operator.errors import InvalidSpec
from mt5_operator.moving.look import Look, trader_of
from mt5_operator.moving.machine import next_step
from mt5_operator.moving.stands import Stand, serving_slot, stands, unchanged
from mt5_operator.moving.steps import Wait
from mt5_operator.names import SLOTS, Key
from mt5_operator.reconcile.accounts import claims, deletion, line, moves, refused, routing, telling
from mt5_operator.reconcile.accounts.updating import bad_restart, restart_s, updating
from mt5_operator.reconcile.brokers import platform
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.context.secrets import SecretSeen
from mt5_operator.reconcile.owned import owner_of, set_key
from mt5_operator.reconcile.pods import heal, leftovers, refresh, resize, slots, workload
from mt5_operator.reconcile.pods.slots import Both
from mt5_operator.reconcile.quota import exceeded
from mt5_operator.spec.parse import Account, Manifest, account, unknown_fields
from mt5_operator.spec.status import Trader
from mt5_operator.status.seen import PodSeen, Seen, SidecarSeen, Updating

# What a sidecar says of its credentials when only a changed Secret helps.
_NEEDS_SECRET: Final = ("Invalid", "Missing")
# More than a move has; a bound, so that no mistake of ours keeps a worker for ever.
_STEPS: Final = 20


@dataclass(frozen=True)
class _Sight:
    """One look at an account: both slots, and what it amounts to."""

    manifest: Manifest
    both: Both
    look: Look
    seen: Seen
    restart_due_s: float | None


class _Gone(Exception):
    """The account was deleted while we looked at it."""


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
        deletion.step_aside(context, key)
        await deletion.let_go(context, manifest)
        return None
    try:
        wanted = account(manifest)
    except InvalidSpec as error:
        return await _refused(context, manifest, str(error))
    return await _live(context, manifest, wanted)


async def _refused(context: Context, manifest: Manifest, told: str) -> float | None:
    # What runs goes on; it neither waits for a place nor is healed until the spec can be read.
    key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    context.admission.leave(key, None)
    context.healer.forget(key)
    context.fleet.step_aside(key)
    seen = Seen(generation=manifest["metadata"]["generation"], invalid=told)
    seen = await refused.follow(context, manifest, seen)
    await telling.tell(context, manifest, slots.remembered(seen, manifest.get("status", {})))
    return context.world.settings.secret_recheck_s if seen.route.problem else None


async def _live(context: Context, manifest: Manifest, wanted: Account) -> float | None:
    # Before anything is made of it, its route included.
    over = bool(exceeded(context.world, wanted))
    context.routed[wanted.key] = wanted.spec.id
    leaves = claims.leave(context, wanted.key, over_quota=over)
    conflict = "" if leaves else await claims.take(context, manifest)
    try:
        sight, taken = await _moved(context, wanted, conflict)
    except _Gone:
        return None  # its event is on the way
    seen, step = sight.seen, None
    # The pod of an account before reads the files of this name: not even they are touched.
    later = bool(seen.name_taken) and seen.trader is None
    if not (seen.conflict or seen.quota or later):
        seen = await workload.bring_about(context, wanted, seen, _stands(sight))
    if not (seen.conflict or seen.unknown_fields or seen.quota or later):
        await moves.remove_outdated(context, wanted, sight.look)
        if sight.look.resizes:
            await resize.take(context, sight.manifest, wanted, sight.look)
    if sight.both.asked:
        seen = await routing.route(context, wanted, seen)
        seen, step = heal.advised(context, wanted, seen, sight.look)
        seen = replace(seen, updating=_updating(sight, taken))
        await telling.tell(context, sight.manifest, seen)
        await refresh.refresh(context, wanted, seen, sight.both.pods, sight.both.sidecars)
        await heal.take(context, sight.manifest, wanted, seen, step)
        await heal.follow(context, wanted, seen, sight.look)
        await moves.watch(context, sight.manifest, wanted, sight.look)
    await leftovers.remove(context.world, sight.both.places.values())
    _await_nodes(context.world, wanted.key, seen)
    return _next_look_s(context, wanted.key, seen, sight, taken)


def _stands(sight: _Sight) -> dict[str, Stand]:
    """Return how the slots should be; none that another account's objects have the names of."""
    # A mistake in the spec holds up its changes, and no move that hands over.
    how = unchanged if sight.seen.unknown_fields else stands
    return {s: stand for s, stand in how(sight.look).items() if s not in sight.both.taken}


async def _moved(context: Context, wanted: Account, conflict: str) -> tuple[_Sight, moves.Taken]:
    """Take steps until there is none to take; return the last look."""
    sight = await _sight(context, wanted, conflict)
    for _ in range(_STEPS):
        if sight.seen.conflict:
            context.fleet.step_aside(wanted.key)  # it asks again when it has its id
        # Whoever is one too many begins nothing, whatever pod there is that bears its name.
        if sight.seen.conflict or sight.seen.quota or not sight.both.asked:
            return sight, moves.waits()
        seen = await routing.route(context, wanted, sight.seen)
        pending = routing.pending(context, wanted, seen)
        sight = replace(sight, seen=seen, look=replace(sight.look, route_pending=pending))
        step = next_step(sight.look)
        if isinstance(step, Wait):
            if sight.look.move is None:
                context.fleet.step_aside(wanted.key)
            return sight, moves.waits(step.why, moves.pause_s(sight.look, step))
        taken = await moves.take(
            context, sight.manifest, wanted, sight.look, sight.both, seen, step
        )
        if not taken.done:
            return sight, taken
        sight = await _sight(context, wanted, conflict)
    return sight, moves.waits("", 0.1)


async def _sight(context: Context, wanted: Account, conflict: str) -> _Sight:
    world = context.world
    manifest = world.caches[ACCOUNT].get(wanted.key)
    if manifest is None:
        raise _Gone
    both = Both(context, owner_of(manifest))
    trader = trader_of(manifest.get("status", {}))
    chosen = platform.choose(context, wanted, _runs_now(trader, both))
    due_s = _restart_due_s(manifest)
    look = slots.look(
        context, manifest, wanted, chosen.platform, both, trader, restart_s=_past(world, due_s)
    )
    if unknown_fields(manifest):
        look = slots.unchanged(look)  # changes wait
    look = replace(look, resizes=resize.applies(context, wanted, look, both))
    slot = serving_slot(look)
    pod = both.pods[slot]
    sidecar = None if pod is None or pod.ending else both.sidecars[slot]
    secret = await _secret(context, wanted, sidecar, pod)
    place = line.stand(context, wanted, chosen.platform, look, both)
    seen = _seen(context, manifest, wanted, chosen, slot, secret, pod, sidecar)
    if place:
        seen = replace(seen, place=told(place, chosen.platform), held=place.held)
    held = world.index.holds(wanted.key)
    seen = replace(seen, conflict=conflict, id_held=held, name_taken=_taken(both, slot, trader))
    seen = replace(seen, podless=both.podless[slot])
    return _Sight(manifest, both, look, seen, due_s)


def _runs_now(trader: Trader | None, both: Both) -> platform.Running:
    slot = both.first(trader)
    its_set = both.places[slot].stateful_set
    traded = trader is not None
    return platform.Running(slot, both.pods[slot], both.sidecars[slot], its_set, traded)


def _taken(both: Both, slot: str, trader: Trader | None) -> str:
    # Who never traded waits until both slots are its own: what is there may trade its login.
    return both.places[slot].taken if trader else ", ".join(both.taken.values())


def _restart_due_s(manifest: Manifest) -> float | None:
    try:
        return restart_s(manifest)
    except ValueError:
        return None  # the condition Updating says so


def _past(world: World, moment_s: float | None) -> float | None:
    passed = moment_s is not None and moment_s <= world.now().timestamp()
    return moment_s if passed else None


async def _secret(
    context: Context, wanted: Account, sidecar: SidecarSeen | None, pod: PodSeen | None
) -> SecretSeen:
    settings = context.world.settings
    refused = sidecar is not None and sidecar.credentials in _NEEDS_SECRET
    begins = pod is None and not wanted.spec.suspend
    ref = wanted.spec.credentials_secret_ref
    # All others are told of a change by `Secrets.reread`: nothing waits for their Secret.
    soon_s = settings.secret_recheck_s * 0.5
    max_age_s = soon_s if refused or begins else float("inf")
    return await context.secrets.look(wanted.key, ref, max_age_s=max_age_s, problem_age_s=soon_s)


def _seen(
    context: Context,
    manifest: Manifest,
    wanted: Account,
    chosen: Choice,
    slot: str,
    secret: SecretSeen,
    pod: PodSeen | None,
    sidecar: SidecarSeen | None,
) -> Seen:
    world, spec = context.world, wanted.spec
    waits = pod is None or not pod.node
    nodes = world.caches.nodes() if waits else []
    seen = Seen(
        generation=wanted.generation,
        account_id=spec.id,
        platform=chosen.platform,
        choice=chosen,
        suspended=spec.suspend,
        slot=slot,
        image=terminal_image(wanted, chosen.platform, world.settings),
        unknown_fields=unknown_fields(manifest),
        quota=exceeded(world, wanted),
        secret=f"Secret {spec.credentials_secret_ref.name}, key {spec.credentials_secret_ref.key}",
        secret_problem=secret.problem,
        secret_version=secret.version,
        no_capacity=placement.no_capacity(chosen.platform, nodes, world.settings) if waits else "",
        pod=pod,
        sidecar=sidecar,
        overdue=refresh.not_ready_s(world, pod) > world.settings.agent_patience_s,
    )
    return slots.remembered(seen, manifest.get("status", {}))


def _updating(sight: _Sight, taken: moves.Taken) -> Updating | None:
    return updating(sight.look, why=taken.why) or bad_restart(sight.manifest)


def _await_nodes(world: World, key: Key, seen: Seen) -> None:
    would_move = seen.choice is not None and seen.choice.waits_for_node
    if (seen.no_capacity or would_move) and not seen.suspended:
        world.homeless.add(key)
    else:
        world.homeless.discard(key)


def _next_look_s(
    context: Context, key: Key, seen: Seen, sight: _Sight, taken: moves.Taken
) -> float | None:
    """Return when to look without being told: only for what no watch and no sidecar tells."""
    settings, now_s = context.world.settings, sight.look.now_s
    looks: list[float] = []
    if taken.again_s is not None:
        looks.append(max(0.05, taken.again_s))
    if sight.restart_due_s is not None and sight.restart_due_s > now_s:
        looks.append(min(settings.resync_s, sight.restart_due_s - now_s + 0.1))
    late_s = resize.next_s(context, key) if sight.look.resizes else None
    tried = [context.healer.next_s(key), late_s]
    looks += [pause_s for pause_s in tried if pause_s is not None]
    if seen.route.problem or _secret_may_change(seen):
        looks.append(settings.secret_recheck_s)
    if seen.workload_problem and (again_s := context.refusals.next_s(key)):
        looks.append(again_s)
    for slot in SLOTS:
        missing_s = context.podless.next_s(set_key(key, slot), settings.stuck_pod_s)
        looks += [] if missing_s is None else [missing_s + 0.1]
        pod = sight.both.pods[slot]
        looks += [pod.crash.left_s(now_s) + 0.1] if pod and pod.crash else []
        if unready_s := refresh.not_ready_s(context.world, pod):
            # A moment later, because the pod's times are in whole seconds.
            ends = (settings.stuck_pod_s, settings.agent_patience_s)
            looks += [end - unready_s + 0.1 for end in ends if end >= unready_s]
    return min(looks, default=None)


def _secret_may_change(seen: Seen) -> bool:
    if seen.suspended or seen.conflict:
        return False
    refused = seen.sidecar is not None and seen.sidecar.credentials in _NEEDS_SECRET
    return refused or bool(seen.secret_problem)
