# SPDX-License-Identifier: Apache-2.0
"""Which StatefulSets an account should have now, and to which slot requests go."""

from __future__ import annotations

from dataclasses import dataclass

from mt5_operator.moving.look import Look, Slot, other
from mt5_operator.moving.machine import drained_s
from mt5_operator.moving.need import in_place
from mt5_operator.spec.status import Move, Trader


@dataclass(frozen=True)
class Stand:
    """How a slot's StatefulSet should be: `renewed` with the newest template, or as it is."""

    there: bool = True
    replicas: int = 1
    renewed: bool = False


ABSENT = Stand(there=False, replicas=0)


def stands(look: Look) -> dict[str, Stand]:
    """Return how each slot's StatefulSet should be."""
    trader = look.trader
    if trader is None:
        return _without_trader(look)
    mine, rest = look.slot(trader.slot), look.slot(other(trader.slot))
    return {
        trader.slot: _of_trader(look, trader, mine),
        other(trader.slot): _of_other(look, trader, rest),
    }


def unchanged(look: Look) -> dict[str, Stand]:
    """Return the same for a spec whose changes wait: slots are scaled down or removed.

    Only what a move goes to is made, if it is made as the pod that runs was.
    """
    held = {name: _held_back(name, stand, look) for name, stand in stands(look).items()}
    return {name: stand for name, stand in held.items() if stand is not None}


def _held_back(name: str, stand: Stand, look: Look) -> Stand | None:
    move, slot = look.move, look.slot(name)
    comes_up = move is not None and move.to == name and move.phase != "Returning"
    if not stand.renewed or (comes_up and not look.frozen):
        return stand
    return Stand(replicas=min(stand.replicas, slot.replicas)) if slot.there else None


def serving_slot(look: Look) -> str:
    """Return the slot that requests should go to."""
    trader = look.trader
    if trader is None:
        there = [name for name, slot in sorted(look.slots.items()) if slot.there]
        serve = [name for name in there if look.slot(name).serves]
        return (serve or there or ["a"])[0]
    mine, rest = look.slot(trader.slot), look.slot(other(trader.slot))
    ours = mine.pod is not None and mine.pod.uid == trader.pod and mine.serves
    trades = mine.said is None or (mine.said.active and mine.said.epoch >= trader.epoch)
    if look.move and rest.serves and not (ours and (trades or look.move.to != trader.slot)):
        return other(trader.slot)
    return trader.slot


def _without_trader(look: Look) -> dict[str, Stand]:
    there = [name for name, slot in look.slots.items() if slot.there] or ["a"]
    replicas = 0 if look.suspended else 1
    return {n: Stand(replicas=replicas, renewed=_renews(look.slot(n), look)) for n in there}


def _of_trader(look: Look, trader: Trader, mine: Slot) -> Stand:
    move = look.move
    if move and move.phase == "Returning" and move.to == trader.slot:
        return Stand(replicas=0) if mine.there else ABSENT
    if not look.suspended:
        return Stand(renewed=_renews(mine, look))
    # The last trade must be on disk before the pod goes; one that does not answer goes anyway.
    is_pod = mine.pod is not None and mine.pod.uid == trader.pod
    answers = is_pod and mine.said is not None
    busy = answers and mine.said is not None and (mine.said.active or move is not None)
    return Stand(replicas=mine.replicas if busy else 0, renewed=_renews(mine, look))


def _of_other(look: Look, trader: Trader, rest: Slot) -> Stand:
    move = look.move
    if move and move.to == other(trader.slot) and move.phase != "Returning":
        return ABSENT if _outgrown(look, trader, move, rest) else Stand(renewed=True)
    if not rest.there:
        return ABSENT
    if move and move.to == trader.slot and _still_needed(look, move):
        return Stand(replicas=rest.replicas)
    if look.suspended and move is None:
        return Stand(replicas=0)
    if not _activated(look, trader):
        # It may have keys that the trader has not, and on a volume only a pod can give them.
        return Stand(replicas=1 if look.volume and rest.pod is None else rest.replicas)
    return Stand(replicas=0) if rest.pod is not None or rest.replicas else ABSENT


def _outgrown(look: Look, trader: Trader, move: Move, rest: Slot) -> bool:
    # Left by an earlier try, it is made anew for another volume: its claim it keeps for life.
    comes_up = move.phase == "Starting" and _activated(look, trader)
    return comes_up and rest.there and rest.claim_bytes != look.claim_bytes


def _still_needed(look: Look, move: Move) -> bool:
    return move.phase != "Draining" or look.route_pending or look.now_s < drained_s(look, move)


def _activated(look: Look, trader: Trader) -> bool:
    # Once it was, it has all keys, and keeps them when it is fenced again.
    mine = look.slot(trader.slot)
    is_pod = mine.pod is not None and mine.pod.uid == trader.pod
    return bool(is_pod and mine.said and mine.said.epoch >= trader.epoch)


def _renews(slot: Slot, look: Look) -> bool:
    # A pod that has the template runs with it: it is proven, and for the slot's next pod too.
    has_it = slot.pod is not None and slot.pod.template == look.template
    return not slot.there or slot.template == look.template or has_it or in_place(slot, look)
