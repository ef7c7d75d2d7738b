# SPDX-License-Identifier: Apache-2.0
"""Tell what is known of a broker: in its status, in Events, in the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import structlog

from mt5_operator import names
from mt5_operator.brokers.matching import Match
from mt5_operator.brokers.review import Reviewed
from mt5_operator.cluster.cache import somebody_elses
from mt5_operator.cluster.kinds import BROKER
from mt5_operator.errors import NotFound
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, World, micro_text, seconds_text
from mt5_operator.reconcile.feed.broker_feed import fed, listed
from mt5_operator.spec.account import BrokerCompatibility
from mt5_operator.spec.broker import BrokerSpec, BrokerStatus, Verdict
from mt5_operator.spec.parse import Manifest
from mt5_operator.status.conditions import dated

# Without an Event, who does not look at the broker would not know.
_TO_ACT_ON: Final = (
    Reason.NO_WINDOWS_NODE,
    Reason.SAME_PATTERN,
    Reason.BROKER_OUTAGE,
    Reason.INVALID_SPEC,
)
_log = structlog.get_logger()


async def tell(context: Context, manifest: Manifest, spec: BrokerSpec, found: Reviewed) -> None:
    """Write what a review found, if it means more than what is there."""
    previous = manifest.get("status", {})
    message = found.status.message + _unheard(context.world, manifest["metadata"]["name"])
    told = found.status.model_copy(
        update={
            "message": message[:1024],
            "observed_generation": manifest["metadata"]["generation"],
            "reviewer": context.identity.installation,
        }
    )
    status = told.model_dump(mode="json", by_alias=True, exclude_none=True)
    status["conditions"] = _conditions(context, manifest, spec, told, found.reason)
    if _worth_a_write(context, status, previous):
        await _write(context, manifest, status)
        await _transition(context, manifest, previous, status, found.reason)


def _worth_a_write(context: Context, status: Manifest, previous: Manifest) -> bool:
    if _meaning(status) != _meaning(previous):
        return True
    looked = previous.get("lookedAt")
    age_s = (context.world.now() - datetime.fromisoformat(looked)).total_seconds() if looked else 0
    due = age_s >= context.world.settings.broker_status_s
    # Without accounts there is nothing new, however old it is.
    return due and bool(status["observedAccounts"])


async def refuse(context: Context, manifest: Manifest, told: str) -> None:
    """Write that a broker's spec cannot be read."""
    previous = manifest.get("status", {})
    message = f"correct the spec: {told}"
    invalid = _condition(
        manifest, "Stalled", value=True, reason=Reason.INVALID_SPEC, message=message
    )
    before = {item["type"]: item for item in previous.get("conditions", [])}
    now = seconds_text(context.world.now())
    status = previous | {"conditions": [dated(invalid, before.get("Stalled"), now)]}
    if _meaning(status) != _meaning(previous):
        await _write(context, manifest, status)
        await _news(context, manifest, previous, status)


async def _write(context: Context, manifest: Manifest, status: Manifest) -> None:
    meta = manifest["metadata"]
    place = {name: meta[name] for name in ("name", "uid")}
    try:
        written = await context.world.api.apply(
            BROKER,
            {"metadata": place, "status": status},
            manager=names.STATUS_MANAGER,
            part="status",
        )
    except NotFound:
        return  # deleted in the meantime
    if somebody_elses(BROKER, manifest, written, ours="status"):
        fed(context.world, written)  # its own event will be taken for an old one
    context.world.caches[BROKER].feed(written)
    if broker := listed(written):
        for key in context.world.directory.keep_broker(broker):
            context.world.queue.add(key)


def _conditions(
    context: Context, manifest: Manifest, spec: BrokerSpec, status: BrokerStatus, reason: Reason
) -> list[dict[str, Any]]:
    message = status.message
    decided = status.verdict in (Verdict.LINUX_COMPATIBLE, Verdict.REQUIRES_WINDOWS)
    if spec.platform is not BrokerCompatibility.AUTO:
        decided, reason = True, Reason.CHOSEN_BY_BROKER
        message = f"spec.platform names {spec.platform.value}; watched all the same: {message}"
    items = [_condition(manifest, "Decided", value=decided, reason=reason, message=message)]
    if ties := context.world.directory.ties(manifest["metadata"]["name"]):
        items.append(
            _condition(
                manifest,
                "Overlapping",
                value=True,
                reason=Reason.SAME_PATTERN,
                message=_overlap(ties),
            )
        )
    if down := _down(context, manifest["metadata"]["name"]):
        items.append(
            _condition(manifest, "Outage", value=True, reason=Reason.BROKER_OUTAGE, message=down)
        )
    before = {item["type"]: item for item in manifest.get("status", {}).get("conditions", [])}
    now = seconds_text(context.world.now())
    return [dated(item, before.get(item["type"]), now) for item in items]


def _unheard(world: World, name: str) -> str:
    """Return what to add where other shards have accounts of a broker; empty if none has."""
    keys = world.directory.clients_of(name)
    others = sum(not world.owns(key.namespace) for key in keys)
    told = (
        f"; {others} of its {len(keys)} accounts are other shards' and not heard here, and nobody"
        " is moved: name the platform in spec.platform or in the accounts' brokerCompatibility"
    )
    return told if others else ""


def _down(context: Context, name: str) -> str:
    """Return which servers of a broker are down; empty if none is."""
    outages = context.healer.outages()
    down = [
        f"{server}: {outages[server][0]} of {outages[server][1]} accounts"
        for server in (sorted(context.world.directory.servers_of(name)) if outages else ())
        if server in outages
    ]
    told = f"lost their connection, and their pods are left alone: {'; '.join(down[:5])}"
    return told if down else ""


def _overlap(ties: list[tuple[str, Match]]) -> str:
    told = [
        f"{server}: {got.broker.name} counts, not {', '.join(got.tied)}" for server, got in ties
    ]
    return f"other brokers fit as well, the oldest counts: {'; '.join(told[:5])}"


def _condition(
    manifest: Manifest, kind: str, *, value: bool, reason: Reason, message: str
) -> dict[str, Any]:
    return {
        "type": kind,
        "status": str(value),
        "observedGeneration": manifest["metadata"]["generation"],
        "reason": reason.value,
        "message": message[:1024],
    }


async def _transition(
    context: Context, manifest: Manifest, before: Manifest, after: Manifest, reason: Reason
) -> None:
    was = before.get("verdict", Verdict.UNKNOWN.value)
    if was == after["verdict"]:
        await _news(context, manifest, before, after)
        return
    name, message = manifest["metadata"]["name"], after["message"]
    _log.info("verdict", broker=name, before=was, verdict=after["verdict"], message=message)
    note = f"{was} -> {after['verdict']}: {message}"
    warning = reason in (Reason.BROKER_REQUIRES_WINDOWS, Reason.WINDOWS_FAILED_ALIKE)
    now = micro_text(context.world.now())
    await context.events.tell(manifest, reason.value, note, warning=warning, now=now)
    await _news(context, manifest, before, after)


async def _news(context: Context, manifest: Manifest, before: Manifest, after: Manifest) -> None:
    """Tell of conditions that a person should act on, when they come."""
    known = {(item["type"], item["reason"]) for item in before.get("conditions", [])}
    now = micro_text(context.world.now())
    for item in after["conditions"]:
        reason, message = item["reason"], item["message"]
        if reason in _TO_ACT_ON and (item["type"], reason) not in known:
            _log.warning("broker", name=manifest["metadata"]["name"], reason=reason, told=message)
            await context.events.tell(manifest, reason, message, warning=True, now=now)


def _meaning(status: Manifest) -> dict[str, Any]:
    """Return what is worth a write at once: not counters, times and words."""
    told = {name: status.get(name) for name in _TOLD_AT_ONCE}
    told["criteria"] = [(item["name"], item["state"]) for item in status.get("criteria", [])]
    told["conditions"] = [
        # Who overlaps is what a person must mend; the others' words change with every look.
        (*(item[name] for name in ("type", "status", "reason")), item["message"])
        if item["type"] == "Overlapping"
        else (item["type"], item["status"], item["reason"])
        for item in status.get("conditions", [])
    ]
    return told


_TOLD_AT_ONCE = (
    "observedGeneration",
    "verdict",
    "platform",
    "since",
    "decidedAt",
    "windowsAcceptedAt",
    "movedBackAt",
    "reprobe",
    "reviewer",
)
