# SPDX-License-Identifier: Apache-2.0
"""Who stands in the line for a place, and who goes next. The rules themselves: `capacity`."""

from __future__ import annotations

from mt5_operator.capacity import Place, Waiting, waiting
from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.errors import InvalidSpec
from mt5_operator.moving.look import Look
from mt5_operator.names import SLOTS, Key
from mt5_operator.reconcile.capacity import everyone_was_seen
from mt5_operator.reconcile.context import Context
from mt5_operator.reconcile.context.index import conflict
from mt5_operator.reconcile.owned import owner_of, place
from mt5_operator.reconcile.pods.slots import Both
from mt5_operator.reconcile.quota import exceeded
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account, Manifest, account
from mt5_operator.status.seen import PodSeen, pod_seen


def stand(
    context: Context, wanted: Account, platform: Platform, look: Look, both: Both
) -> Place | None:
    """Return the place of an account of which nothing has a node; None for all others."""
    world, room = context.world, context.admission
    stands_aside = wanted.spec.suspend or bool(conflict(world.index, wanted.spec.id, wanted.key))
    pods = [pod for pod in both.pods.values() if pod is not None]
    # Who is not made, or not begun, until its spec is corrected takes nobody's turn.
    stands_aside = stands_aside or (look.frozen and not pods)
    # Nor who has no pod because that is refused: it would never leave the line.
    refused_pod = both.refused or context.refusals.next_s(wanted.key) is not None
    stands_aside = stands_aside or (refused_pod and not pods)
    begins_later = look.trader is None and both.taken
    if stands_aside or begins_later or exceeded(world, wanted):
        room.leave(wanted.key, None)
        return None
    # Who moves, or has two slots for another reason, has a place already: what is missing is room
    # for a second pod, and a slot that may hold keys is not scaled down for anybody's turn.
    two = look.move is not None or all(look.slot(slot).there for slot in SLOTS)
    if two or any(pod.node for pod in pods):
        room.leave(wanted.key, platform)
        return None
    refused = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
    return room.wait(waiting(wanted, platform, refused))


def presume(context: Context) -> None:
    """Take over the line as it is, so that a new leader sends nobody forward."""
    world, room = context.world, context.admission
    for key in world.ours():
        if (manifest := world.caches[ACCOUNT].get(key)) is None:
            continue
        # Only its own: what stands there under its names may be of an account before (adr/076).
        places = [place(world.caches, owner_of(manifest), slot) for slot in SLOTS]
        sets = [each.stateful_set for each in places if each.stateful_set]
        pods = [pod_seen(each.pod) for each in places if each.pod]
        if len(sets) > 1 or any(pod.node for pod in pods):
            continue
        if who := _waiting(context, key, manifest, pods):
            room.wait(who)
            if not pods and any(not each["spec"].get("replicas") for each in sets):
                room.hold(key)
    room.decide(world.settings.admission_window)


def _waiting(context: Context, key: Key, manifest: Manifest, pods: list[PodSeen]) -> Waiting | None:
    world = context.world
    status = manifest.get("status", {})
    if status.get("move"):
        return None
    told = status.get("platform")
    try:
        found = account(manifest) if told else None
    except InvalidSpec:
        return None
    if found is None or found.spec.suspend or conflict(world.index, found.spec.id, key):
        return None
    refused = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
    return waiting(found, Platform(told), refused)


async def move_on(context: Context) -> None:
    """Let the next of the line stand before the scheduler."""
    if not everyone_was_seen(context):
        return
    for key in context.admission.decide(context.world.settings.admission_window):
        context.world.queue.add(key)
    context.admission.count()
