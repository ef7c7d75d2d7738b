# SPDX-License-Identifier: Apache-2.0
"""From one look to the next step. Level-based: it remembers nothing but what the look holds."""

from __future__ import annotations

from typing import Literal

from mt5_operator.moving.look import Look, Said, Slot, fenced, other, text
from mt5_operator.moving.need import goal_of, need
from mt5_operator.moving.steps import Confirm, Fence, SetMove, SetTrader, Step, TakeOver, Wait
from mt5_operator.spec.parse import seconds
from mt5_operator.spec.status import MESSAGE_LENGTH, LastMove, Move, Trader

_Phase = Literal["Starting", "HandingOver", "Draining", "Returning"]


def next_step(look: Look) -> Step:
    """Return what is to be done now."""
    trader = look.trader
    if trader is None:
        return _found(look)
    mine = look.slot(trader.slot)
    if mine.pod is None or mine.pod.uid != trader.pod:
        return _gone(look, trader, mine)
    if mine.said is None:
        return _silent(look, trader)
    if fenced(mine.said, trader):
        return _fenced(look, trader, mine.said)
    if not mine.said.active or mine.said.epoch < trader.epoch:
        return _activation(look, trader, mine.said)
    if mine.said.epoch > trader.epoch:
        return SetTrader(_trader(trader.slot, mine, mine.said.epoch))
    return _trades(look, trader)


# Nobody is written down as the trader: a new account, or a status that was lost.


def _found(look: Look) -> Step:
    live = {name: slot for name, slot in look.slots.items() if slot.pod is not None}
    said = {name: slot.said for name, slot in live.items() if slot.said is not None}
    if not live or len(said) < len(live):
        return Wait("a pod has not said yet whether it trades")
    active = sorted((s.epoch, name) for name, s in said.items() if s.active)
    if len(active) > 1:  # nothing that we do leads there; hands might
        return Fence(active[0][1], active[0][0])
    if active:
        return SetTrader(_trader(active[0][1], live[active[0][1]], active[0][0]))
    newest = max((s.epoch, name) for name, s in said.items())
    return SetTrader(_trader(newest[1], live[newest[1]], newest[0] + 1))


# The trader's pod is not there any more.


def _gone(look: Look, trader: Trader, mine: Slot) -> Step:
    if trader.node in look.lost_nodes:
        return Wait(
            f"the pod before may still run and trade: node {trader.node} does not answer, and has"
            " no out-of-service taint"
        )
    step = _successor(look, trader, mine)
    # That it is not seen proves nothing: what we see may be old, and its processes may live.
    unproven = isinstance(step, SetTrader) and look.gone != trader.pod
    return Confirm(trader) if unproven else step


def _successor(look: Look, trader: Trader, mine: Slot) -> Step:
    returning = look.move is not None and look.move.phase == "Returning"
    leaves = returning and look.move is not None and look.move.to == trader.slot
    if mine.pod is not None and mine.said is not None and not leaves:
        return _replaced(trader, mine, mine.said)
    if mine.pod is None and (step := _other_takes_over(look, trader)):
        return step
    return _late_or_back(look, trader) or Wait("the pod is being replaced")


def _replaced(trader: Trader, mine: Slot, said: Said) -> Step:
    if said.active and said.epoch < trader.epoch:
        return Fence(trader.slot, said.epoch)  # an old volume came back
    # On a volume the journal is the same one; without, it is a new one, and must say so.
    same = said.active and said.epoch >= trader.epoch
    epoch = said.epoch if same else max(said.epoch, trader.epoch) + 1
    return SetTrader(_trader(trader.slot, mine, epoch))


def _other_takes_over(look: Look, trader: Trader) -> Step | None:
    move, rest = look.move, look.slot(other(trader.slot))
    if move is None or rest.said is None or rest.pod is None:
        return None
    epoch = max(rest.said.epoch, trader.epoch) + 1
    if move.to == trader.slot:
        if move.phase == "Returning":
            return SetTrader(_trader(other(trader.slot), rest, epoch))
        return _give_up_handover(look, move)
    if not look.volume and _up(rest, move):
        # Without a volume the keys went with the pod: waiting for another one brings none back.
        return SetTrader(_trader(move.to, rest, epoch))
    return None


# The trader's pod is there, and says nothing.


def _silent(look: Look, trader: Trader) -> Step:
    move = look.move
    if move and move.to == trader.slot and look.slot(other(trader.slot)).said:
        return _give_up_handover(look, move) or Wait("the new slot does not answer")
    return _late_or_back(look, trader) or Wait(
        "the slot that trades does not answer, or cannot use its journal (condition JournalFault)"
    )


def _give_up_handover(look: Look, move: Move) -> Step | None:
    # A volume may hold keys of trades that only the new slot made: it must come back by itself.
    if look.volume:
        return None
    if move.phase == "HandingOver" and _overdue(look, move):
        return SetMove(_phase(look, move, "Returning"), look.last)
    return None


def _late_or_back(look: Look, trader: Trader) -> Step | None:
    move = look.move
    if move is None or move.to == trader.slot:
        return None
    if move.phase == "HandingOver" and _overdue(look, move):
        return SetMove(_phase(look, move, "Starting"), look.last)
    return _late(look, move) if move.phase == "Starting" else None


# The trader is fenced: on purpose, or because it was suspended.


def _fenced(look: Look, trader: Trader, said: Said) -> Step:
    move, rest = look.move, look.slot(other(trader.slot))
    epoch = max(said.epoch, rest.said.epoch if rest.said else 0, trader.epoch) + 1
    if move and move.to != trader.slot and move.phase == "HandingOver":
        if _up(rest, move):
            return SetTrader(_trader(move.to, rest, epoch))
        if _overdue(look, move):
            return _failed(look, move, "the new slot was lost while it took over")
        return Wait("the new slot is not connected", _in(look, 1))
    if move and move.to == trader.slot and move.phase == "Returning":
        if rest.said and rest.pod:
            return SetTrader(_trader(other(trader.slot), rest, epoch))
        return SetMove(_phase(look, move, "HandingOver"), look.last)  # nowhere to return to
    if look.suspended:
        return Wait("suspended")
    mine = look.slot(trader.slot)
    return SetTrader(_trader(trader.slot, mine, max(said.epoch, trader.epoch) + 1))


# The trader may trade and does not know it yet.


def _activation(look: Look, trader: Trader, said: Said) -> Step:
    move, rest = look.move, look.slot(other(trader.slot))
    if move and move.phase == "Returning" and move.to == trader.slot:
        return Fence(trader.slot, trader.epoch)
    if look.suspended and said.epoch == 0:
        return Wait("suspended")
    # Who traded in the epoch before has all keys; nobody did before the first one.
    if said.epoch == trader.epoch - 1 or not _may_hold_keys(look, trader, rest):
        return TakeOver(trader.slot, trader.epoch)
    if rest.said is None:
        late = move and move.to == trader.slot and _give_up_handover(look, move)
        return late or Wait("the old slot does not answer, and has the keys", _in(look, 1))
    if rest.said.active:
        return Fence(other(trader.slot), rest.said.epoch)
    return TakeOver(trader.slot, trader.epoch, source=other(trader.slot))


def _may_hold_keys(look: Look, trader: Trader, rest: Slot) -> bool:
    comes_up = look.move is not None and look.move.to == other(trader.slot)
    if comes_up and look.move is not None and look.move.phase != "Returning":
        return False  # a new slot that never traded
    return rest.pod is not None or (look.volume and rest.there)


# All is well: the trader trades.


def _trades(look: Look, trader: Trader) -> Step:
    move, rest = look.move, look.slot(other(trader.slot))
    if rest.said and rest.said.active:
        return Fence(other(trader.slot), rest.said.epoch)
    if move and move.to == trader.slot:
        return _draining(look, move, rest)
    if look.suspended:
        return SetMove(None, look.last) if move else Fence(trader.slot, trader.epoch)
    if move is None:
        return _begin(look, trader)
    if move.phase == "Returning":
        return _failed(look, move, "the new slot was lost while it took over")
    if (changed := _changed(look, trader, move)) is not None:
        return changed
    if move.phase == "HandingOver":
        back = SetMove(_phase(look, move, "Starting"), look.last)
        return Fence(trader.slot, trader.epoch) if _up(rest, move) else back
    return _starting(look, move, rest)


def _begin(look: Look, trader: Trader) -> Step:
    found = need(look, trader)
    if not found.reason or found.held:
        return Wait(found.held, found.until_s)
    now = text(look.now_s)
    return SetMove(
        Move(
            to=other(trader.slot),
            goal=goal_of(look, trader),
            template=look.template,
            reason=found.reason,
            phase="Starting",
            since=now,
            started=now,
        ),
        look.last,
    )


def _changed(look: Look, trader: Trader, move: Move) -> Step | None:
    goal = goal_of(look, trader)
    if goal == move.goal:
        return None
    # Another goal is another move, or none: begin again from where we are.
    return SetMove(None, look.last)


def _starting(look: Look, move: Move, rest: Slot) -> Step:
    if late := _late(look, move):
        return late
    deadline_s = seconds(move.started) + look.limits.deadline_s
    if not _up(rest, move) or rest.pod is None:
        return Wait(_with("the new slot comes up", rest), deadline_s)
    proven_s = rest.pod.ready_since_s + look.limits.min_ready_s
    # Who serves nobody has nothing to lose; one that is thrown out again and again would have its
    # requests go to and fro meanwhile.
    if look.now_s < proven_s and _trader_serves(look):
        return Wait("the new slot is connected and must stay so for a while", proven_s)
    if look.route_pending:
        return Wait("the routers cannot be told of a move now", deadline_s)
    return SetMove(_phase(look, move, "HandingOver"), look.last)


def _draining(look: Look, move: Move, rest: Slot) -> Step:
    if move.phase != "Draining":
        if look.route_pending:
            return Wait("the routers are told of the new slot", _in(look, 1))
        return SetMove(_phase(look, move, "Draining"), look.last)
    if rest.there or rest.pod is not None:
        return Wait("the old slot drains", drained_s(look, move))
    return SetMove(None, LastMove(goal=move.goal, outcome="Done", at=text(look.now_s)))


def drained_s(look: Look, move: Move) -> float:
    """Return when the routers have let go of the old slot, in seconds since 1970."""
    return seconds(move.since) + look.limits.drain_s


# Small words.


def _up(slot: Slot, move: Move) -> bool:
    fits = slot.pod is not None and slot.pod.template == move.template
    return fits and slot.serves and slot.said is not None and slot.said.connected


def _trader_serves(look: Look) -> bool:
    return look.trader is not None and look.slot(look.trader.slot).serves


def _overdue(look: Look, move: Move) -> bool:
    return look.now_s > seconds(move.since) + look.limits.handover_s


def _late(look: Look, move: Move) -> Step | None:
    if look.now_s <= seconds(move.started) + look.limits.deadline_s:
        return None
    told = f"the new slot was not ready in {look.limits.deadline_s:g} s"
    return _failed(look, move, _with(told, look.slot(move.to)))


def _with(told: str, slot: Slot) -> str:
    return f"{told}: {slot.trouble}" if slot.trouble else told


def _failed(look: Look, move: Move, why: str) -> Step:
    before = look.last
    again = before is not None and before.goal == move.goal and before.outcome == "Failed"
    failures = before.failures + 1 if again and before else 1
    last = LastMove(
        goal=move.goal,
        outcome="Failed",
        at=text(look.now_s),
        failures=failures,
        message=why[:MESSAGE_LENGTH],
        unplaced=look.slot(move.to).unplaced or None,
    )
    return SetMove(None, last)


def _phase(look: Look, move: Move, phase: _Phase) -> Move:
    return move.model_copy(update={"phase": phase, "since": text(look.now_s)})


def _trader(name: str, slot: Slot, epoch: int) -> Trader:
    assert slot.pod is not None  # noqa: S101 - only pods are made traders
    return Trader(slot=name, epoch=epoch, pod=slot.pod.uid, node=slot.pod.node)


def _in(look: Look, pause_s: float) -> float:
    return look.now_s + pause_s
