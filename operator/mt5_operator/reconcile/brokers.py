# SPDX-License-Identifier: Apache-2.0
"""Brokers: made for servers seen for the first time, reviewed when their accounts are heard.

A review is due `broker_review_s` after the first look that it has not seen, however many
follow; what it finds is written at once if it means more, else every `broker_status_s`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import structlog

from mt5_operator import metrics, names
from mt5_operator.brokers.book import Book
from mt5_operator.brokers.directory import Client
from mt5_operator.brokers.matching import ANY, Broker, Match
from mt5_operator.brokers.review import Facts, Reviewed, meaning, review
from mt5_operator.brokers.suspicion import unwell
from mt5_operator.brokers.tally import Sample, Tally
from mt5_operator.cluster.cache import somebody_elses
from mt5_operator.cluster.kinds import ACCOUNT, BROKER, POD
from mt5_operator.errors import Conflict, InvalidSpec, NotFound
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, World, micro_text, seconds_text
from mt5_operator.reconcile.platform import windows_node
from mt5_operator.sidecars.client import Target
from mt5_operator.spec.account import BrokerCompatibility, Disruption, Platform
from mt5_operator.spec.broker import BrokerSpec, Verdict
from mt5_operator.spec.parse import Manifest, account, broker_spec, broker_status
from mt5_operator.status.conditions import dated
from mt5_operator.status.seen import SidecarSeen

_log = structlog.get_logger()

# What the queue knows the search for servers without a broker by.
UNKNOWN_SERVERS = Key("", "")
# An installation that writes none of so many statuses in a row reviews no more.
_SILENT_REVIEWS: Final = 3


def hear(world: World, book: Book, key: Key, target: Target, seen: SidecarSeen) -> None:
    """Take in a look at an account's sidecar."""
    if seen.evidence is None:
        return
    sample = Sample(key, target.uid, world.now(), seen.evidence, seen.connected, seen.reason)
    book.note(sample, world.settings)
    if broker := world.directory.broker_of(key):
        world.queue.add(Key("", broker.name), after_s=world.settings.broker_review_s)


def listed(manifest: Manifest) -> Broker | None:
    """Return what an account's platform depends on; None if the object cannot be read."""
    meta = manifest["metadata"]
    try:
        spec = broker_spec(manifest)
    except InvalidSpec:
        return None
    status = broker_status(manifest)
    pinned = spec.platform is not BrokerCompatibility.AUTO
    return Broker(
        name=meta["name"],
        uid=meta["uid"],
        created=meta["creationTimestamp"],
        patterns=tuple(spec.servers),
        pinned=Platform(spec.platform.value) if pinned else None,
        verdict=status.verdict,
        moved_back=status.moved_back_at is not None,
    )


def fed(world: World, manifest: Manifest) -> None:
    """Take in a broker that a watch told of; make due whom it concerns."""
    broker = listed(manifest)
    if broker is None:
        dropped(world, manifest["metadata"]["name"])
        return
    for key in world.directory.keep_broker(broker):
        world.queue.add(key)
    world.queue.add(Key("", broker.name))
    # What it spoke for before may be without a broker now.
    world.queue.add(UNKNOWN_SERVERS)


def dropped(world: World, name: str) -> None:
    """Take in that a broker is gone; what was known of it is forgotten."""
    for key in world.directory.drop_broker(name):
        world.queue.add(key)
    world.queue.add(Key("", name))
    world.queue.add(UNKNOWN_SERVERS)


def fed_account(world: World, key: Key, manifest: Manifest) -> None:
    """Take in an account that a watch told of."""
    spec = manifest.get("spec", {})
    auto = spec.get("brokerCompatibility", BrokerCompatibility.AUTO) == BrokerCompatibility.AUTO
    server = str(spec.get("server", ""))
    if world.directory.keep_client(key, Client(server, auto)) and auto:
        world.queue.add(UNKNOWN_SERVERS)


async def reconcile(context: Context, key: Key) -> float | None:
    """Review a broker, or make those that are missing.

    Raises:
        ApiError, ApiUnavailable: something is left to do; try again.
    """
    if key == UNKNOWN_SERVERS:
        await _make_missing(context)
        return None
    manifest = context.world.caches[BROKER].get(key)
    if manifest is None or "deletionTimestamp" in manifest["metadata"]:
        context.brokers.pop(key.name, None)
        context.world.homeless.discard(key)
        return None
    await _reviewed(context, manifest)
    return None


def count(context: Context) -> None:
    """Tell Prometheus how many brokers have which verdict."""
    found = Counter(broker.verdict for broker in context.world.directory.brokers())
    for verdict in Verdict:
        metrics.BROKER_VERDICT.labels(verdict.value).set(found[verdict])


async def _make_missing(context: Context) -> None:
    world = context.world
    for server in world.directory.unknown_servers():
        taken = world.directory.names()
        if ANY in server:
            continue  # no server is called so, and the object would speak for every server
        if len(taken) >= world.settings.brokers_max:
            _log.warning("no MT5Broker is made: there are too many", server=server)
            return
        name = names.broker(server, taken=taken)
        body = {"metadata": {"name": name}, "spec": {"servers": [server]}}
        try:
            made = await world.api.create(BROKER, body)
        except Conflict:
            continue  # its event is on the way
        world.caches[BROKER].feed(made)
        fed(world, made)
        _log.info("broker seen for the first time", broker=name, server=server)


async def _reviewed(context: Context, manifest: Manifest) -> None:
    world, name = context.world, manifest["metadata"]["name"]
    try:
        spec = broker_spec(manifest)
    except InvalidSpec as error:
        await _refused(context, manifest, str(error))
        return
    keys = world.directory.clients_of(name)
    if _is_anothers(context, manifest, keys):
        context.brokers.pop(name, None)
        return
    known = context.brokers.get(name)
    uid = manifest["metadata"]["uid"]
    before = known[1] if known and known[0] == uid else broker_status(manifest)
    facts = _facts(context, manifest, keys)
    found = review(before, spec, facts, world.settings)
    # From here on the counts are in the status that we remember: a write that fails loses none.
    context.brokers[name] = (uid, found.status)
    context.book.added_up(keys)
    await _tell(context, manifest, spec, found)
    _await_nodes(world, Key("", name), found)
    by_hand = spec.platform is not BrokerCompatibility.AUTO
    if found.try_again and not by_hand and not world.settings.broker_dry_run:
        await _try_again(context, found.try_again, facts)


def _is_anothers(context: Context, manifest: Manifest, keys: list[Key]) -> bool:
    """Tell whether another installation reviews a broker: two would undo each other's writes.

    Whoever has accounts there takes over from one that has not looked for long.
    """
    status, world = broker_status(manifest), context.world
    if status.reviewer in ("", context.identity.installation):
        return False
    if not keys or status.looked_at is None:
        return not keys
    silent_s = (world.now() - status.looked_at).total_seconds()
    return silent_s < _SILENT_REVIEWS * world.settings.broker_status_s


def _await_nodes(world: World, key: Key, found: Reviewed) -> None:
    if found.reason is Reason.NO_WINDOWS_NODE:
        world.homeless.add(key)
    else:
        world.homeless.discard(key)


async def _refused(context: Context, manifest: Manifest, told: str) -> None:
    previous = manifest.get("status", {})
    message = f"correct the spec: {told}"
    invalid = _condition(
        manifest, "Stalled", value=True, reason=Reason.INVALID_SPEC, message=message
    )
    before = {item["type"]: item for item in previous.get("conditions", [])}
    now = seconds_text(context.world.now())
    status = previous | {"conditions": [dated(invalid, before.get("Stalled"), now)]}
    if meaning(status) != meaning(previous):
        await _write(context, manifest, status)


def _facts(context: Context, manifest: Manifest, keys: list[Key]) -> Facts:
    world = context.world
    return Facts(
        now=world.now(),
        linux=context.book.on(keys, Platform.LINUX),
        windows=context.book.on(keys, Platform.WINDOWS),
        windows_node=windows_node(world),
        bad_node=_bad_nodes(context, manifest["metadata"]["name"]),
        reprobe=manifest["metadata"].get("annotations", {}).get(names.REPROBE, ""),
    )


def _bad_nodes(context: Context, name: str) -> Callable[[Tally], bool]:
    """Return what tells whether at least half of other brokers' accounts on a node are unwell.

    Nodes are looked up only when somebody is suspected, which is seldom.
    """
    world, found = context.world, dict[str, list[bool]]()

    def look() -> None:
        for tally in context.book.all():
            broker = world.directory.broker_of(tally.last.key)
            if broker and broker.name != name and (pod := _pod(world, tally)):
                is_unwell = unwell(tally, world.settings, world.now())
                found.setdefault(_node(pod), []).append(is_unwell)

    def bad(tally: Tally) -> bool:
        if not found:
            look()
        pod = _pod(world, tally)
        others = found.get(_node(pod), []) if pod else []
        return bool(others) and 2 * sum(others) >= len(others)

    return bad


def _pod(world: World, tally: Tally) -> Manifest | None:
    key = tally.last.key
    for slot in names.SLOTS:
        pod = world.caches[POD].get(Key(key.namespace, names.pod(key.name, slot)))
        if pod and pod["metadata"]["uid"] == tally.last.uid:
            return pod
    return None


def _node(pod: Manifest) -> str:
    return str(pod["spec"].get("nodeName", ""))


async def _tell(context: Context, manifest: Manifest, spec: BrokerSpec, found: Reviewed) -> None:
    previous = manifest.get("status", {})
    told = found.status.model_copy(
        update={
            "observed_generation": manifest["metadata"]["generation"],
            "reviewer": context.identity.installation,
        }
    )
    status = told.model_dump(mode="json", by_alias=True, exclude_none=True)
    status["conditions"] = _conditions(context, manifest, spec, found)
    if _worth_a_write(context, status, previous):
        await _write(context, manifest, status)
        await _transition(context, manifest, previous, status, found.reason)


def _worth_a_write(context: Context, status: Manifest, previous: Manifest) -> bool:
    if meaning(status) != meaning(previous):
        return True
    looked = previous.get("lookedAt")
    age_s = (context.world.now() - datetime.fromisoformat(looked)).total_seconds() if looked else 0
    due = age_s >= context.world.settings.broker_status_s
    # Without accounts there is nothing new, however old it is.
    return due and bool(status["observedAccounts"])


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
    context: Context, manifest: Manifest, spec: BrokerSpec, found: Reviewed
) -> list[dict[str, Any]]:
    status, reason, message = found.status, found.reason, found.status.message
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
        return
    name, message = manifest["metadata"]["name"], after["message"]
    _log.info("verdict", broker=name, before=was, verdict=after["verdict"], message=message)
    note = f"{was} -> {after['verdict']}: {message}"
    warning = reason in (Reason.BROKER_REQUIRES_WINDOWS, Reason.WINDOWS_FAILED_ALIKE)
    now = micro_text(context.world.now())
    await context.events.tell(manifest, reason.value, note, warning=warning, now=now)


async def _try_again(context: Context, suspects: tuple[Tally, ...], facts: Facts) -> None:
    """Replace the pod of one suspect: only a fresh terminal tells chance from rule."""
    for tally in suspects:
        manifest = context.world.caches[ACCOUNT].get(tally.last.key)
        pod = _pod(context.world, tally)
        if manifest and pod and may_be_disturbed(manifest, pod):
            await _start_afresh(context, tally, manifest, pod, facts.now)
            return


async def _start_afresh(
    context: Context, tally: Tally, manifest: Manifest, pod: Manifest, at: datetime
) -> None:
    world, settings = context.world, context.world.settings
    born = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    started = max(born, tally.started_at or born)
    if (at - started).total_seconds() < settings.broker_fresh_start_pause_s:
        return
    key = Key(pod["metadata"]["namespace"], pod["metadata"]["name"])
    try:
        await world.api.delete(POD, key, uid=pod["metadata"]["uid"])
    except (NotFound, Conflict):
        return  # another pod by now
    metrics.FRESH_STARTS.inc()
    note = "thrown out again and again: does it happen to a fresh terminal too?"
    now = micro_text(at)
    await context.events.tell(manifest, Reason.FRESH_START.value, note, warning=False, now=now)
    _log.info("fresh start", account=str(tally.last.key), pod=str(key))


def may_be_disturbed(manifest: Manifest, pod: Manifest) -> bool:
    """Tell whether this pod of an account may be replaced to see what a fresh terminal does."""
    if "deletionTimestamp" in pod["metadata"] or _hands_over(manifest, pod):
        return False
    try:
        spec = account(manifest).spec
    except InvalidSpec:
        return False
    auto = spec.broker_compatibility is BrokerCompatibility.AUTO
    return auto and spec.disruption is Disruption.ALWAYS and not spec.suspend


def _hands_over(manifest: Manifest, pod: Manifest) -> bool:
    # Amid a move only the pod that comes up is free: no trade and no key is in it.
    status = manifest.get("status", {})
    move, trader = status.get("move"), status.get("trader", {})
    if not move:
        return False
    return bool(move["phase"] != "Starting" or trader.get("pod") == pod["metadata"]["uid"])
