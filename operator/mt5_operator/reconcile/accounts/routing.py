# SPDX-License-Identifier: Apache-2.0
"""Tell the routers where an account is, or why it is nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mt5_operator import names
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context
from mt5_operator.routes.route import Route, brief
from mt5_operator.spec.parse import Account
from mt5_operator.status.seen import PodSeen, RouteSeen, Seen
from mt5_operator.status.verdict import Verdict, serving

# Of the others the message may name Secrets, nodes, addresses and images, or be somebody's words.
_OUR_WORDS: Final = (
    Reason.SUSPENDED,
    Reason.POD_STARTING,
    Reason.CONNECTING,
    Reason.NO_CAPACITY,
)
# What follows is somebody's words, or names our objects.
_THEIR_WORDS: Final = ("Kubernetes says:", "scheduler:", "see why with:")


async def route(context: Context, account: Account, seen: Seen) -> Seen:
    """Put the account's route into the table; return what was seen, with where the route stands."""
    if seen.conflict or (seen.quota and not context.world.index.holds(account.key)):
        return seen  # the route is another account's, or may be
    return await publish(context, account.spec.id, route_for(seen), seen)


async def publish(context: Context, account_id: str, wanted: Route, seen: Seen) -> Seen:
    """Put `wanted` into the table; return what was seen, with where the route stands."""
    await context.table.put(account_id, wanted)
    problem = context.table.problem(account_id)
    published = bool(wanted.address) and not problem
    return replace(seen, route=RouteSeen(published, problem))


def pending(context: Context, account: Account, seen: Seen) -> bool:
    """Tell whether routers may not know the route that `seen` amounts to."""
    there = context.table.get(account.spec.id)
    return there != route_for(seen) or bool(context.table.problem(account.spec.id))


def route_for(seen: Seen) -> Route:
    """Return the route that `seen` amounts to."""
    verdict, epoch = serving(seen), _epoch(seen)
    if verdict.reason is Reason.CONNECTED and seen.pod:
        return Route(_address(seen.pod), seen.slot, epoch, seen.pod.uid)
    return Route("", seen.slot, epoch, "", verdict.reason.value, brief(_public(verdict)))


def _public(verdict: Verdict) -> str:
    """Return what anybody may be told who asks a router for the account, key or no key."""
    if verdict.reason not in _OUR_WORDS:
        return ""
    ours = verdict.message
    for theirs in _THEIR_WORDS:
        ours = ours.partition(theirs)[0]
    return ours.rstrip("; ")


def _epoch(seen: Seen) -> int:
    # Of the pod that is routed to: the one before, while the next trader takes over.
    trader = seen.trader
    if trader is None:
        return 1
    return trader.epoch if trader.slot == seen.slot else max(1, trader.epoch - 1)


def _address(pod: PodSeen) -> str:
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    return f"{host}:{names.API_PORT}"
