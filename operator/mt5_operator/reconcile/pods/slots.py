# SPDX-License-Identifier: Apache-2.0
"""Look at an account's two slots: what the caches hold, and what the sidecars said."""

from __future__ import annotations

from dataclasses import replace

from mt5_operator import names, placement
from mt5_operator.cluster.kinds import NODE
from mt5_operator.desired.quantity import in_bytes
from mt5_operator.desired.template import template_id
from mt5_operator.desired.volumes import claimed
from mt5_operator.healing import budget
from mt5_operator.moving import look as moving
from mt5_operator.moving.look import Limits, Look, Pod, Said, Slot
from mt5_operator.names import SLOTS, Key
from mt5_operator.reasons import ON_ITS_WAY, Reason
from mt5_operator.reconcile import owned
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.context.vanished import is_lost
from mt5_operator.reconcile.owned import Owner, pod_key, set_key
from mt5_operator.reconcile.pods import refresh
from mt5_operator.settings import Settings
from mt5_operator.sidecars.client import Target
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account, Manifest, seconds
from mt5_operator.spec.status import Move, Trader
from mt5_operator.status.seen import Podless, PodSeen, Seen, SidecarSeen, pod_seen
from mt5_operator.status.verdict import journal_fault, link


class Both:
    """The pods of both slots, and what their sidecars said."""

    def __init__(self, context: Context, owner: Owner) -> None:
        """Look, and keep looking at the sidecars of pods that run."""
        caches = context.world.caches
        self.places = {slot: owned.place(caches, owner, slot) for slot in SLOTS}
        self.pods: dict[str, PodSeen | None] = {}
        self.sidecars: dict[str, SidecarSeen | None] = {}
        for slot in SLOTS:
            manifest = self.places[slot].pod
            self.pods[slot] = pod = _pod_seen(context.world, manifest) if manifest else None
            self.sidecars[slot] = _sidecar(context, pod_key(owner.key, slot), pod)
        self.podless = {slot: self._podless(context, owner, slot) for slot in SLOTS}

    def _podless(self, context: Context, owner: Owner, slot: str) -> Podless | None:
        key, manifest = set_key(owner.key, slot), self.places[slot].stateful_set
        has_pod, limit_s = self.pods[slot] is not None, context.world.settings.stuck_pod_s
        return context.podless.look(key, manifest, has_pod=has_pod, limit_s=limit_s)

    @property
    def refused(self) -> bool:
        """Tell whether Kubernetes refuses a slot its pod."""
        return any(found is not None and found.refused for found in self.podless.values())

    @property
    def taken(self) -> dict[str, str]:
        """Return what has a slot's name and is not the account's own: nothing is made there."""
        return {slot: place.taken for slot, place in self.places.items() if place.taken}

    @property
    def asked(self) -> bool:
        """Tell whether the sidecar of every pod that runs was asked at least once.

        A new leader must not judge a running pod before.
        """
        return not any(
            _runs(pod) and self.sidecars[slot] is None for slot, pod in self.pods.items()
        )

    def first(self, trader: Trader | None) -> str:
        """Return the slot that trades by the account's status; else one with a pod."""
        if trader:
            return trader.slot
        live = [slot for slot in SLOTS if self.pods[slot] is not None]
        return (live or [*SLOTS])[0]


def target(pod: PodSeen) -> Target:
    """Return where a pod's sidecar is."""
    return Target(pod.uid, pod.ip)


def limits(settings: Settings) -> Limits:
    """Return how long moves may take."""
    return Limits(
        deadline_s=settings.move_deadline_s,
        handover_s=settings.move_handover_s,
        min_ready_s=settings.move_min_ready_s,
        drain_s=settings.move_drain_s,
        look_s=settings.move_look_s,
        backoff_min_s=settings.move_backoff_min_s,
        backoff_max_s=settings.move_backoff_max_s,
    )


def look(
    context: Context,
    manifest: Manifest,
    account: Account,
    platform: Platform,
    both: Both,
    trader: Trader | None,
    *,
    restart_s: float | None,
) -> Look:
    """Return all that the next step depends on, but for the routes."""
    world, status = context.world, manifest.get("status", {})
    move = moving.move_of(status)
    nodes = {trader.node} if trader and trader.node else set()
    pods = (pod for pod in both.pods.values() if pod)
    world.hosted.keep(account.key, nodes | {pod.node for pod in pods if pod.node})
    return Look(
        now_s=world.now().timestamp(),
        slots={slot: _slot(world, slot, both, move) for slot in SLOTS},
        template=template_id(account, platform, world.settings),
        platform=platform.value,
        trader=trader,
        move=move,
        last=moving.last_of(status),
        restart_s=restart_s,
        suspended=account.spec.suspend,
        disruption=account.spec.disruption,
        volume=account.spec.storage is not None,
        claim_bytes=in_bytes(account.spec.storage.size) if account.spec.storage else 0,
        lost_nodes=frozenset(node for node in nodes if _lost(world, node)),
        gone=context.gone.certain(account.key),
        limits=limits(world.settings),
    )


def unchanged(look: Look) -> Look:
    """Return the look of an account that asks for nothing new.

    A move that only comes up is for what is not wanted now; one that hands over must end. Leaving
    a node changes nothing, but for an account whose next pod would be another one.
    """
    trader, move = look.trader, look.move
    mine = look.slot(trader.slot) if trader else Slot()
    if trader is None or mine.pod is None:
        return replace(look, frozen=True)
    same = mine.pod.template == look.template
    if move and (move.phase != "Starting" or move.to == trader.slot):
        return replace(look, frozen=not same)
    pod = mine.pod if same else replace(mine.pod, leaving=False)
    slots = {**look.slots, trader.slot: replace(mine, pod=pod)}
    template = mine.pod.template
    return replace(look, slots=slots, template=template, restart_s=None, frozen=not same)


def remembered(seen: Seen, status: Manifest) -> Seen:
    """Return `seen` with what only the status remembers."""
    return replace(
        seen,
        trader=moving.trader_of(status),
        move=moving.move_of(status),
        last_move=moving.last_of(status),
        healing=budget(status, seen.generation),
    )


def _pod_seen(world: World, manifest: Manifest) -> PodSeen:
    pod = pod_seen(manifest)
    lost = bool(pod.node) and _lost(world, pod.node)
    over = pod.crash is not None and not pod.crash.left_s(world.now().timestamp())
    return replace(pod, lost=lost, crash=None if over else pod.crash)


def _slot(world: World, slot: str, both: Both, move: Move | None) -> Slot:
    manifest = both.places[slot].stateful_set
    pod, sidecar = both.pods[slot], both.sidecars[slot]
    there = manifest is not None and "deletionTimestamp" not in manifest["metadata"]
    spec = manifest["spec"] if manifest and there else {}
    template = spec.get("template", {})
    return Slot(
        there=there,
        template=template.get("metadata", {}).get("annotations", {}).get(names.TEMPLATE, ""),
        replicas=spec.get("replicas", 0),
        platform=template.get("spec", {}).get("os", {}).get("name", "").capitalize(),
        claim_bytes=in_bytes(claimed(manifest)) if manifest and there else 0,
        pod=_pod(world, pod) if pod else None,
        said=_said(sidecar),
        stuck=refresh.hangs(world, pod, sidecar),
        # Of the slot that it moves to; nobody asks for the other's.
        trouble=_trouble(both, slot) if move and move.to == slot else "",
        unplaced=bool(both.podless[slot] or (pod and not pod.node and pod.unschedulable)),
    )


def _pod(world: World, pod: PodSeen) -> Pod:
    return Pod(
        uid=pod.uid,
        node=pod.node,
        created_s=seconds(pod.created) if pod.created else 0,
        template=pod.template,
        ready=pod.ready,
        ready_since_s=seconds(pod.ready_since) if pod.ready and pod.ready_since else 0,
        ending=pod.ending,
        leaving=bool(pod.node) and _leaving(world, pod.node),
    )


def _said(sidecar: SidecarSeen | None) -> Said | None:
    if sidecar is None or sidecar.error or sidecar.orders is None:
        return None
    return Said(sidecar.orders.epoch, sidecar.orders.active, sidecar.connected)


def _trouble(both: Both, slot: str) -> str:
    taken, pod, sidecar = both.places[slot].taken, both.pods[slot], both.sidecars[slot]
    podless = both.podless[slot]
    seen = Seen(generation=0, name_taken=taken, podless=podless, pod=pod, sidecar=sidecar)
    found = link(seen)
    if found.reason is Reason.CONNECTED or found.reason in ON_ITS_WAY:
        told = journal_fault(seen)  # it serves, and can take over no keys
        return f"{Reason.JOURNAL_FAULT}: {told}" if told else ""
    return f"{found.reason}: {found.message}"


def _sidecar(context: Context, key: Key, pod: PodSeen | None) -> SidecarSeen | None:
    # One that is ending may still be fenced, and has keys.
    if pod is None or not pod.answers:
        context.watcher.forget(key)
        return None
    return context.watcher.watch(key, target(pod), ready=pod.ready)


def _runs(pod: PodSeen | None) -> bool:
    return pod is not None and pod.answers and not pod.ending


def _leaving(world: World, node: str) -> bool:
    manifest = world.caches[NODE].get(Key("", node))
    return manifest is not None and placement.leaving(manifest)


def _lost(world: World, node: str) -> bool:
    return is_lost(world.caches[NODE].get(Key("", node)) or {})
