# SPDX-License-Identifier: Apache-2.0
"""Brokers and their accounts as the watches and sidecars tell of them. Does no I/O."""

from __future__ import annotations

from mt5_operator import names
from mt5_operator.brokers.book import Book
from mt5_operator.brokers.directory import Client
from mt5_operator.brokers.matching import Broker
from mt5_operator.brokers.tally import Sample
from mt5_operator.errors import InvalidSpec
from mt5_operator.names import Key
from mt5_operator.reconcile.context import World
from mt5_operator.sidecars.client import Target
from mt5_operator.spec.account import BrokerCompatibility, Platform
from mt5_operator.spec.parse import Manifest, broker_spec, broker_status
from mt5_operator.status.seen import SidecarSeen

# What the queue knows the search for servers without a broker by.
UNKNOWN_SERVERS = Key("", "")


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
        made_for=meta.get("labels", {}).get(names.MADE_FOR, ""),
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
    news = world.directory.keep_client(key, Client(server, auto))
    if auto and news:
        world.queue.add(UNKNOWN_SERVERS)
    elif auto and world.directory.broker_of(key) is None:
        # It may be resumed, or within its namespace's quota by now.
        world.queue.add(UNKNOWN_SERVERS, after_s=world.settings.broker_review_s)
