# SPDX-License-Identifier: Apache-2.0
"""What a reconcile works with: one bundle of shared parts, put together in `app`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mt5_operator.apikeys import ApiKey
from mt5_operator.brokers.book import Book
from mt5_operator.brokers.directory import Directory
from mt5_operator.cluster.api import Api
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.events import Events
from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.moving.fleet import Fleet
from mt5_operator.names import Key
from mt5_operator.reconcile.context.admission import Admission
from mt5_operator.reconcile.context.budgets import Budgets
from mt5_operator.reconcile.context.healer import Healer
from mt5_operator.reconcile.context.hosted import Hosted
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.context.podless import Podless
from mt5_operator.reconcile.context.refusals import Refusals
from mt5_operator.reconcile.context.resizes import Resizes
from mt5_operator.reconcile.context.secrets import Secrets
from mt5_operator.reconcile.context.vanished import Ended, Gone
from mt5_operator.routes.table import Table
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from mt5_operator.sharding import owns
from mt5_operator.sidecars.client import Sidecars
from mt5_operator.sidecars.identity import Identity
from mt5_operator.sidecars.watcher import Watcher
from mt5_operator.spec.broker import BrokerStatus


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class World:
    """What leader and standby both keep warm."""

    settings: Settings
    api: Api
    caches: Caches
    index: Index
    queue: Schedule
    # Which accounts belong to which broker.
    directory: Directory = field(default_factory=Directory)
    # Accounts and brokers that wait for a node: a changed node makes them due.
    homeless: set[Key] = field(default_factory=set)
    # Where accounts' pods are: a changed node makes them due.
    hosted: Hosted = field(default_factory=Hosted)
    # Pods that ended by their kubelets' word: a standby must know it when it comes to lead.
    ended: Ended = field(default_factory=Ended)
    now: Callable[[], datetime] = utc_now

    def owns(self, namespace: str) -> bool:
        """Tell whether our shard serves a namespace."""
        return owns(self.settings, namespace)

    def ours(self) -> list[Key]:
        """Return the accounts that our shard serves."""
        return [key for key in self.caches[ACCOUNT].keys() if self.owns(key.namespace)]  # noqa: SIM118 - not a dict


@dataclass(frozen=True)
class Context:
    """What only the leader has."""

    world: World
    identity: Identity
    table: Table
    watcher: Watcher
    secrets: Secrets
    events: Events
    refusals: Refusals
    sidecars: Sidecars
    fleet: Fleet
    budgets: Budgets
    healer: Healer = field(default_factory=lambda: Healer(Settings()))
    admission: Admission = field(default_factory=Admission)
    # What an account's objects were made of when none was left to write (`workload`).
    settled: dict[Key, int] = field(default_factory=dict)
    resizes: Resizes = field(default_factory=Resizes)
    # For which StatefulSets Kubernetes makes no pod.
    podless: Podless = field(default_factory=Podless)
    # Whose trader is gone for certain.
    gone: Gone = field(default_factory=Gone)
    # What the sidecars say of their brokers, and what is known of each broker: its uid and status.
    book: Book = field(default_factory=Book)
    brokers: dict[str, tuple[str, BrokerStatus]] = field(default_factory=dict)
    # Under which id each account was looked at last, for the end of its route.
    routed: dict[Key, str] = field(default_factory=dict)
    # What accounts' Ready said last, for the metric; empty of those that are being deleted.
    reasons: dict[Key, str] = field(default_factory=dict)
    # The API keys in force; one list, replaced as a whole.
    keys: list[ApiKey] = field(default_factory=list)
    # Entries of the key table that were reported as unusable, and why.
    bad_keys: dict[str, str] = field(default_factory=dict)


def seconds_text(moment: datetime) -> str:
    """Return a metav1.Time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_text(moment: datetime) -> str:
    """Return a metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
