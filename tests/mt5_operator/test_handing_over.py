# SPDX-License-Identifier: Apache-2.0
"""When a new slot that is up takes over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mt5_operator.moving.look import Limits, Look, Pod, Said, Slot, text
from mt5_operator.moving.machine import next_step
from mt5_operator.moving.stands import serving_slot
from mt5_operator.moving.steps import SetMove, Wait
from mt5_operator.reconcile.accounts.moves import pause_s
from mt5_operator.reconcile.pods.slots import limits
from mt5_operator.settings import Settings
from mt5_operator.spec.status import Move, Trader

MIN_READY_S = 30


def look(*, ready_for_s: float, trader_serves: bool) -> Look:
    """Return a move whose new slot has been ready for so many seconds."""
    now_s = 1000.0
    old = Slot(
        there=True,
        pod=Pod("u", ready=trader_serves),
        said=Said(1, active=True, connected=trader_serves),
    )
    new = Slot(
        there=True,
        pod=Pod("v", template="t2", ready=True, ready_since_s=now_s - ready_for_s),
        said=Said(0, active=False, connected=True),
    )
    began = text(now_s - 60)
    move = {"to": "b", "goal": "t2", "template": "t2", "reason": "PlatformChanged"}
    return Look(
        now_s=now_s,
        slots={"a": old, "b": new},
        template="t2",
        trader=Trader(slot="a", epoch=1, pod="u", node=""),
        move=Move(**move, phase="Starting", since=began, started=began),
        limits=Limits(min_ready_s=MIN_READY_S),
    )


@pytest.mark.parametrize("phase", ["HandingOver", "Returning"])
def test_who_hands_over_is_looked_at_as_often_as_is_set(phase: str) -> None:
    seen = look(ready_for_s=MIN_READY_S, trader_serves=True)
    assert seen.move is not None
    move = seen.move.model_copy(update={"phase": phase})
    seen = replace(seen, move=move, limits=limits(Settings(move_look_s=0.3)))

    assert pause_s(seen, Wait("")) == 0.3


def test_a_trader_that_serves_stays_until_the_new_slot_is_proven() -> None:
    step = next_step(look(ready_for_s=MIN_READY_S - 1, trader_serves=True))

    assert isinstance(step, Wait)
    assert step.until_s == 1001


@pytest.mark.parametrize(
    ("ready_for_s", "trader_serves"), [(MIN_READY_S, True), (0, False), (MIN_READY_S - 1, False)]
)
def test_a_new_slot_takes_over_when_it_is_proven_or_the_other_one_serves_nobody(
    ready_for_s: float, *, trader_serves: bool
) -> None:
    step = next_step(look(ready_for_s=ready_for_s, trader_serves=trader_serves))

    assert isinstance(step, SetMove)
    assert step.move is not None
    assert step.move.phase == "HandingOver"


def test_requests_that_go_to_the_new_slot_because_the_other_one_is_away_stay_there() -> None:
    away = look(ready_for_s=1, trader_serves=False)

    # At the same look at which requests change sides the keys begin to.
    assert serving_slot(away) == "b"
    assert isinstance(next_step(away), SetMove)
