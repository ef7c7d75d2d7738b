# SPDX-License-Identifier: Apache-2.0
"""How many accounts a namespace may run. The oldest go first, and none that runs is ended."""

from __future__ import annotations

from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.moving.look import trader_of
from mt5_operator.names import Key
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.context.index import Age
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Account


def quota(settings: Settings, namespace: str) -> int:
    """Return how many accounts a namespace may run; 0 means any number."""
    return settings.accounts_per_namespace_of.get(namespace, settings.accounts_per_namespace)


def exceeded(world: World, account: Account) -> str:
    """Return what to do because the namespace has its number of accounts; empty if it has not."""
    return exceeds(world, Age(account.created, account.uid, account.key))


def exceeds(world: World, age: Age) -> str:
    """Return the same of an account of which only the age is known: its spec may be wrong."""
    namespace = age.key.namespace
    limit = quota(world.settings, namespace)
    if not limit or world.index.rank(age) < limit or _has_begun(world, age.key):
        return ""
    return (
        f"namespace {namespace} may run {limit} accounts and has them, all older:"
        " delete one, or have the quota raised (accounts per namespace, in the chart's values)"
    )


def _has_begun(world: World, key: Key) -> bool:
    # A lowered quota ends nobody's trading; it only lets nobody else in. Asked of the status,
    # which the namespace's people cannot write: a StatefulSet of that name anybody may create.
    manifest = world.caches[ACCOUNT].get(key) or {}
    return trader_of(manifest.get("status", {})) is not None
