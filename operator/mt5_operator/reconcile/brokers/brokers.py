# SPDX-License-Identifier: Apache-2.0
"""Brokers: made for servers seen for the first time, reviewed when their accounts are heard.

A review is due `broker_review_s` after the first look that it has not seen, however many
follow; what it finds is written at once if it means more, else every `broker_status_s`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from mt5_operator import metrics, names
from mt5_operator.brokers.blame import Facts
from mt5_operator.brokers.review import Reviewed, review
from mt5_operator.brokers.suspicion import unwell
from mt5_operator.brokers.tally import Tally
from mt5_operator.cluster.kinds import BROKER
from mt5_operator.errors import InvalidSpec
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.brokers.new import make_missing
from mt5_operator.reconcile.brokers.platform import windows_node
from mt5_operator.reconcile.brokers.status import refuse, tell
from mt5_operator.reconcile.context import Context, World
from mt5_operator.reconcile.feed.broker_feed import UNKNOWN_SERVERS
from mt5_operator.reconcile.pods.fresh_starts import pod_of, try_again
from mt5_operator.spec.account import BrokerCompatibility, Platform
from mt5_operator.spec.broker import Verdict
from mt5_operator.spec.parse import Manifest, broker_spec, broker_status

# An installation that writes none of so many statuses in a row reviews no more.
_SILENT_REVIEWS: Final = 3


async def reconcile(context: Context, key: Key) -> float | None:
    """Review a broker, or make those that are missing.

    Raises:
        ApiError, ApiUnavailable: something is left to do; try again.
    """
    if key == UNKNOWN_SERVERS:
        await make_missing(context)
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


async def _reviewed(context: Context, manifest: Manifest) -> None:
    world, name = context.world, manifest["metadata"]["name"]
    try:
        spec = broker_spec(manifest)
    except InvalidSpec as error:
        await refuse(context, manifest, str(error))
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
    await tell(context, manifest, spec, found)
    _await_nodes(world, Key("", name), found)
    by_hand = spec.platform is not BrokerCompatibility.AUTO
    if found.try_again and not by_hand and not world.settings.broker_dry_run:
        await try_again(context, found.try_again, facts.now)


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
            if broker and broker.name != name and (pod := pod_of(world, tally)):
                is_unwell = unwell(tally, world.settings, world.now())
                found.setdefault(_node(pod), []).append(is_unwell)

    def bad(tally: Tally) -> bool:
        if not found:
            look()
        pod = pod_of(world, tally)
        others = found.get(_node(pod), []) if pod else []
        return bool(others) and 2 * sum(others) >= len(others)

    return bad


def _node(pod: Manifest) -> str:
    return str(pod["spec"].get("nodeName", ""))
