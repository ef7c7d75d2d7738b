# SPDX-License-Identifier: Apache-2.0
"""The end of an account: first its route, then its pod."""

from __future__ import annotations

import structlog

from mt5_operator import names
from mt5_operator.errors import NotFound
from mt5_operator.names import SLOTS, Key
from mt5_operator.reconcile.accounts import holds
from mt5_operator.reconcile.context import Context
from mt5_operator.reconcile.owned import pod_key, set_key
from mt5_operator.reconcile.pods.workload import release
from mt5_operator.spec.parse import Manifest, account_id

_log = structlog.get_logger()


async def let_go(context: Context, manifest: Manifest) -> None:
    """Remove the route, then release the account; the garbage collector ends what it owned.

    Redis is asked once and not waited for (docs/adr/012): the route table without the account
    is in the ConfigMap, and Redis is compared with it before its marker is trusted again.
    """
    meta = manifest["metadata"]
    key = Key(meta["namespace"], meta["name"])
    if names.FINALIZER not in meta.get("finalizers", []):
        return
    wanted = account_id(manifest)
    holder = context.world.index.holder(wanted)
    # Anybody's finalizer may be there that never had the id; it is not kept for them.
    if holder is not None and holder.key == key:
        await holds.keep(context, wanted, key.namespace)
        await context.table.remove(wanted)
    try:
        await release(context, manifest)
    except NotFound:
        return
    _log.info("account released", account=str(key))


def step_aside(context: Context, key: Key) -> None:
    """Let an account that is being deleted take nobody's turn, place or step.

    Somebody else's finalizer may keep it for ever.
    """
    context.fleet.step_aside(key)
    context.admission.leave(key, None)
    context.healer.forget(key)
    context.reasons[key] = ""  # it was looked at, and has nothing to tell


async def forget(context: Context, key: Key) -> None:
    """Forget an account that is gone, and the routes that nobody claims any more.

    Raises:
        ApiError, ApiUnavailable: a ConfigMap still holds such a route; try again.
    """
    for slot in SLOTS:
        context.watcher.forget(pod_key(key, slot))
        context.podless.forget(set_key(key, slot))
    context.fleet.forget(key)
    context.world.hosted.forget(key)
    context.refusals.forget(key)
    context.secrets.forget(key)
    context.reasons.pop(key, None)
    context.book.forget(key)
    context.admission.leave(key, None)
    context.healer.forget(key)
    for waits in context.resizes.over(key):
        context.world.queue.add(waits)
    context.gone.forget(key)
    context.settled.pop(key, None)
    context.world.homeless.discard(key)
    # An account can go without our finalizer, if somebody took that away.
    wanted = context.routed.pop(key, None)
    nobodys = context.table.nobodys() if wanted is None else _nobodys(context, wanted)
    for each in nobodys:
        await context.table.remove(each)


def _nobodys(context: Context, wanted: str) -> set[str]:
    # Of one id: thousands of deletions must not each compare the whole table.
    routed = context.table.get(wanted) is not None
    return {wanted} if routed and not context.world.index.is_ours(wanted) else set()
