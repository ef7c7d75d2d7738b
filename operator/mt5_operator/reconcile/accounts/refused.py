# SPDX-License-Identifier: Apache-2.0
"""An account whose spec cannot be read: what runs is left alone, and its route stays true."""

from __future__ import annotations

from dataclasses import replace

from mt5_operator.cluster.cache import key_of
from mt5_operator.reconcile import owned
from mt5_operator.reconcile.accounts import claims, routing
from mt5_operator.reconcile.context import Context
from mt5_operator.reconcile.context.index import Age
from mt5_operator.reconcile.quota import exceeds
from mt5_operator.routes.route import Route, routable
from mt5_operator.spec.parse import Manifest, account_id
from mt5_operator.status.seen import Seen, pod_seen


async def follow(context: Context, manifest: Manifest, seen: Seen) -> Seen:
    """Route to the pod that serves, or tell why none does; return what was seen, with both.

    The pod's readiness alone counts here, and it asks the sidecar: nobody is waited for.
    """
    wanted, meta = account_id(manifest), manifest["metadata"]
    key = key_of(manifest)
    # A spec that cannot be read gets no id that one that can would not have.
    over = exceeds(context.world, Age(meta["creationTimestamp"], meta["uid"], key))
    if claims.leave(context, key, over_quota=bool(over)):
        return seen
    conflict = await claims.take(context, manifest)
    seen = replace(seen, conflict=conflict, id_held=not conflict)
    if conflict or not routable(wanted):
        return seen
    before = context.table.get(wanted) or Route()
    pod = owned.place(context.world.caches, owned.owner_of(manifest), before.slot).pod
    seen = replace(seen, account_id=wanted, slot=before.slot, pod=pod_seen(pod) if pod else None)
    # Whoever trades stays who trades: moving it is a change, and changes wait.
    route = replace(routing.route_for(seen), epoch=before.epoch)
    return await routing.publish(context, wanted, route, seen)
