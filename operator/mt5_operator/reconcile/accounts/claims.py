# SPDX-License-Identifier: Apache-2.0
"""Take an account id for an account, or leave it to the one that has it."""

from __future__ import annotations

from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.accounts import holds
from mt5_operator.reconcile.context import Context
from mt5_operator.reconcile.context.index import conflict
from mt5_operator.reconcile.feed import feed
from mt5_operator.reconcile.pods.workload import hold, release
from mt5_operator.spec.parse import Manifest, account_id


async def take(context: Context, manifest: Manifest) -> str:
    """Take the account's id before anything is made of it; return why not, if another has it.

    Raises:
        ApiError, ApiUnavailable: it could not be taken; try again.
    """
    meta, index = manifest["metadata"], context.world.index
    key, wanted = Key(meta["namespace"], meta["name"]), account_id(manifest)
    if not index.holds(key):
        await _look_at_rivals(context, key)
        if context.world.settings.shards > 1:
            await holds.look(context)  # another shard may have let go of the id just now
    if told := conflict(index, wanted, key):
        index.give_up(key)
        await release(context, manifest)  # only who has the id must end its route
        return told
    index.take(key)  # no await since the question: a rival that asks meanwhile finds it taken
    await hold(context, manifest)
    return ""


def leave(context: Context, key: Key, *, over_quota: bool) -> bool:
    """Tell whether an account must leave its id to others: it is one too many, and has it not."""
    index = context.world.index
    leaves = over_quota and not index.holds(key)
    if index.bar(key, barred=leaves):
        for rival in index.rivals(key):
            context.world.queue.add(rival)
    return leaves


async def _look_at_rivals(context: Context, key: Key) -> None:
    # The leader before us may have given the id to one of them, and our watch not told it yet.
    for rival in context.world.index.rivals(key):
        try:
            found = await context.world.api.get(ACCOUNT, rival)
        except NotFound:
            continue
        feed(context.world, ACCOUNT, "MODIFIED", found)
