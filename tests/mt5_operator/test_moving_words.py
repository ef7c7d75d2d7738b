# SPDX-License-Identifier: Apache-2.0
"""What is told of a move that does not come to its end."""

from __future__ import annotations

from dataclasses import replace

from mt5_operator.moving.look import Limits, Look, Pod, Said, Slot, text
from mt5_operator.moving.machine import next_step
from mt5_operator.moving.stands import Stand, unchanged
from mt5_operator.moving.steps import SetMove, Wait
from mt5_operator.spec.status import Move, Trader

DEADLINE_S = 60
TROUBLE = "ImagePullFailed: no such image"


def look(*, after_s: float, trouble: str) -> Look:
    """Return a move to slot b that began so many seconds ago."""
    began = text(1000)
    move = {"to": "b", "goal": "t2", "template": "t2", "reason": "TemplateChanged"}
    old = Slot(there=True, pod=Pod("u"), said=Said(1, active=True, connected=True))
    return Look(
        now_s=1000 + after_s,
        slots={"a": old, "b": Slot(there=True, pod=Pod("v"), trouble=trouble)},
        template="t2",
        trader=Trader(slot="a", epoch=1, pod="u", node=""),
        move=Move(**move, phase="Starting", since=began, started=began),
        limits=Limits(deadline_s=DEADLINE_S),
    )


def test_what_keeps_the_new_slot_from_coming_up_is_told() -> None:
    waits = [next_step(look(after_s=1, trouble=each)) for each in ("", TROUBLE)]

    assert [step.why for step in waits if isinstance(step, Wait)] == [
        "the new slot comes up",
        f"the new slot comes up: {TROUBLE}",
    ]


def test_a_move_that_failed_says_what_kept_the_new_slot_from_coming_up() -> None:
    step = next_step(look(after_s=DEADLINE_S + 1, trouble=TROUBLE))

    assert isinstance(step, SetMove)
    assert step.last is not None
    assert step.last.message == f"the new slot was not ready in {DEADLINE_S} s: {TROUBLE}"
    long = next_step(look(after_s=DEADLINE_S + 1, trouble="x" * 5000))
    assert isinstance(long, SetMove), "a longer word than a status takes ends no reconcile"


def test_a_slot_that_the_account_returns_from_goes_whatever_is_misspelt() -> None:
    found = look(after_s=1, trouble="")
    move = found.move and found.move.model_copy(update={"phase": "Returning"})
    slots = {"a": Slot(there=True, replicas=1), "b": replace(found.slot("b"), replicas=1)}
    trader = Trader(slot="b", epoch=2, pod="v", node="")
    returning = replace(found, slots=slots, trader=trader, move=move, frozen=True)

    assert unchanged(returning) == {"b": Stand(replicas=0), "a": Stand(replicas=1)}
