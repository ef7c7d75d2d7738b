# SPDX-License-Identifier: Apache-2.0
"""Find where an account should run: gather what `brokers.choice` decides from."""

from __future__ import annotations

from typing import NamedTuple

from mt5_operator import metrics, placement
from mt5_operator.brokers.choice import Choice, Where, choice
from mt5_operator.brokers.suspicion import healthy
from mt5_operator.desired.template import template_id
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, World, micro_text
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account, Manifest
from mt5_operator.status.conditions import condition_of
from mt5_operator.status.seen import PodSeen, SidecarSeen


class Running(NamedTuple):
    """What runs of an account; `traded`: its status remembers a pod that might trade."""

    slot: str
    pod: PodSeen | None
    sidecar: SidecarSeen | None
    stateful_set: Manifest | None
    traded: bool


def choose(context: Context, account: Account, now: Running) -> Choice:
    """Return the platform that an account should run on, and why."""
    world = context.world
    return choice(
        account.spec,
        world.directory.broker_of(account.key),
        _where(context, account, now),
        windows_node=lambda: windows_node(world),
        dry_run=world.settings.broker_dry_run,
    )


def _where(context: Context, account: Account, now: Running) -> Where:
    world, pod, sidecar = context.world, now.pod, now.sidecar
    suspended = account.spec.suspend
    running = None if suspended else _platform(now.stateful_set, pod, traded=now.traded)
    runs = pod is not None and pod.answers and not pod.ending
    return Where(
        running=running,
        known=sidecar is not None or not runs,
        healthy=_healthy(world, pod, sidecar) or _was_healthy(context, account, running),
        upgrading=lambda: running is not None and _upgrading(world, account, pod, running),
    )


def windows_node(world: World) -> bool:
    """Tell whether a node takes Windows pods."""
    return not placement.no_capacity(Platform.WINDOWS, world.caches.nodes(), world.settings)


async def moved(context: Context, manifest: Manifest, before: Manifest, after: Manifest) -> None:
    """Tell that an account's platform is another one than its status said."""
    was, now = before.get("platform"), after.get("platform")
    if not was or not now or was == now:
        return
    metrics.PLATFORM_MOVES.labels(now).inc()
    to_windows = now == Platform.WINDOWS.value
    reason = Reason.MOVED_TO_WINDOWS if to_windows else Reason.MOVED_TO_LINUX
    why = (condition_of(after, "Compatible") or {}).get("message", "")
    at = micro_text(context.world.now())
    note = f"from {was} to {now}: {why}"
    await context.events.tell(manifest, reason.value, note, warning=False, now=at)


def _platform(manifest: Manifest | None, pod: PodSeen | None, *, traded: bool) -> Platform | None:
    # A pod that never found a node runs nowhere; one that is being replaced still counts.
    if manifest is None or (pod is not None and not pod.node):
        return None
    # Nor does who never traded and has no pod to come: it waits for its turn.
    if pod is None and not traded and not manifest["spec"].get("replicas"):
        return None
    name = manifest["spec"]["template"]["spec"].get("os", {}).get("name", "")
    return next((platform for platform in Platform if platform.value.lower() == name), None)


def _healthy(world: World, pod: PodSeen | None, sidecar: SidecarSeen | None) -> bool:
    if pod is None:
        return False
    if sidecar is None or sidecar.evidence is None:
        return pod.ready  # nothing better is known
    at = sidecar.evidence.last_healthy
    if at is None:
        return False
    return (world.now() - at).total_seconds() < world.settings.broker_healthy_s


def _was_healthy(context: Context, account: Account, running: Platform | None) -> bool:
    # Its pod may just be replaced, and know nothing.
    tallies = context.book.on([account.key], running) if running else []
    world = context.world
    return any(healthy(tally, world.settings, world.now()) for tally in tallies)


def _upgrading(world: World, account: Account, pod: PodSeen | None, running: Platform) -> bool:
    return pod is not None and pod.template != template_id(account, running, world.settings)
