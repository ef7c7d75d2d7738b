# SPDX-License-Identifier: Apache-2.0
"""Make an `MT5Broker` for each server that no broker speaks of and an account would log in at.

Brokers are everybody's and are kept when their accounts go, as what is known of them is. So only
so many are made for one namespace: it must not use up those of the others.
"""

from __future__ import annotations

from collections import Counter

import structlog

from mt5_operator import metrics, names
from mt5_operator.brokers.matching import ANY
from mt5_operator.cluster.kinds import ACCOUNT, BROKER
from mt5_operator.errors import Conflict, InvalidSpec, Refused
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, World, micro_text
from mt5_operator.reconcile.context.index import conflict
from mt5_operator.reconcile.feed.broker_feed import fed
from mt5_operator.reconcile.quota import exceeded
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import account

_log = structlog.get_logger()


async def make_missing(context: Context) -> None:
    """Make the brokers that are missing.

    Raises:
        ApiError, ApiUnavailable: some are not made; try again.
    """
    directory, settings = context.world.directory, context.world.settings
    made = Counter(broker.made_for for broker in directory.brokers())
    left = 0
    for server in directory.unknown_servers():
        if ANY in server:
            continue  # no server is called so, and the object would speak for every server
        asking = [key for key in directory.accounts_at(server) if _logs_in(context.world, key)]
        room = (key.namespace for key in asking if not _full(made, settings, key.namespace))
        if namespace := next(room, None):
            made[names.made_for(namespace)] += await _make(context, server, namespace)
        elif asking:
            left += 1
            await _tell(context, server, asking[0], _full(made, settings, asking[0].namespace))
    metrics.SERVERS_WITHOUT_BROKER.set(left)


def _logs_in(world: World, key: Key) -> bool:
    manifest = world.caches[ACCOUNT].get(key)
    if manifest is None or "deletionTimestamp" in manifest["metadata"]:
        return False
    try:
        wanted = account(manifest)
    except InvalidSpec:
        return False
    waits = conflict(world.index, wanted.spec.id, key) or exceeded(world, wanted)
    return not (wanted.spec.suspend or waits)


def _full(made: Counter[str], settings: Settings, namespace: str) -> str:
    """Return why no broker is made for a namespace; empty if one is."""
    if made.total() >= settings.brokers_max:
        return f"there are {made.total()} (MT5_OPERATOR_BROKERS_MAX)"
    count = made[names.made_for(namespace)]
    if count >= settings.brokers_per_namespace_max:
        return f"this namespace has {count} (MT5_OPERATOR_BROKERS_PER_NAMESPACE_MAX)"
    return ""


async def _make(context: Context, server: str, namespace: str) -> bool:
    """Make the broker of a server; tell whether it was not there yet."""
    world = context.world
    name = names.broker(server, taken=world.directory.names())
    labels = {names.MADE_FOR: names.made_for(namespace)}
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"servers": [server]}}
    try:
        made = await world.api.create(BROKER, body)
    except Conflict:
        return False  # its event is on the way
    except Refused as error:
        # A name that an MT5Account may have and an MT5Broker may not: nobody else's turn ends here.
        _log.warning("no MT5Broker is made", server=server, why=error.message)
        return False
    world.caches[BROKER].feed(made)
    fed(world, made)
    _log.info("broker seen for the first time", broker=name, server=server)
    return True


async def _tell(context: Context, server: str, key: Key, why: str) -> None:
    world = context.world
    manifest = world.caches[ACCOUNT].get(key)
    _log.warning("no MT5Broker is made", server=server, why=why)
    if manifest is None:
        return
    note = f"no MT5Broker is made for {server}: {why}. Delete those that nobody needs"
    now = micro_text(world.now())
    reason = Reason.TOO_MANY_BROKERS.value
    await context.events.tell(manifest, reason, note, warning=True, now=now)
