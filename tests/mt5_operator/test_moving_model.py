# SPDX-License-Identifier: Apache-2.0
"""Whatever happens in whatever order: one trader, no order twice, no key lost, the end as wanted.

`MT5_MOVE_RUNS` says how many runs to make; a failure shows the shortest story that leads to it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from moving_world import World

RUNS = int(os.environ.get("MT5_MOVE_RUNS", "300"))
SLOTS = st.sampled_from(["a", "b"])
FATES = st.sampled_from(["well", "lost", "unanswered", "late"])


class Moves(RuleBasedStateMachine):
    """An account, its operator, and bad luck."""

    volume = False

    @initialize(quick=st.booleans(), ahead_s=st.sampled_from([0, 1000]))
    def begin(self, quick: bool, ahead_s: float) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.world = World(volume=self.volume, ahead_s=ahead_s)
        if quick:
            self.settle_a_little()

    @rule()
    def settle_a_little(self) -> None:
        for _ in range(3):
            self.world.kubelet()
            self.world.hear()
            self.world.reconcile()
            self.world.now_s += 1

    @rule(steps=st.integers(1, 6), fate=FATES, stand=st.booleans())
    def reconcile(self, steps: int, fate: str, stand: bool) -> None:  # noqa: FBT001 - as above
        self.world.reconcile(steps=steps, fate=fate, stand=stand)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule()
    def the_cache_of_pods_stays_behind(self) -> None:
        self.world.freeze()

    @rule()
    def the_cache_of_pods_catches_up(self) -> None:
        self.world.stale = None

    @rule()
    def kubelet(self) -> None:
        self.world.kubelet()

    @rule()
    def hear(self) -> None:
        self.world.hear()

    @rule(pause_s=st.sampled_from([1, 4, 15, 70]))
    def time_passes(self, pause_s: int) -> None:
        self.world.now_s += pause_s

    @rule(slot=SLOTS, key=st.sampled_from(["k1", "k2", "k3"]))
    def trade(self, slot: str, key: str) -> None:
        self.world.trade(slot, key)

    @rule(template=st.sampled_from(["t1", "t2", "t3", "bad"]))
    def template(self, template: str) -> None:
        self.world.bad = {"bad"}
        self.world.template = template

    @rule()
    def restart(self) -> None:
        self.world.restart_s = self.world.now_s

    @rule()
    def suspend(self) -> None:
        self.world.suspended = not self.world.suspended

    @rule()
    def a_field_is_misspelt(self) -> None:
        self.world.misspelt = not self.world.misspelt

    @rule(slot=SLOTS)
    def a_pod_dies(self, slot: str) -> None:
        if pod := self.world.pod(slot):
            self.world.end(pod)

    @rule(slot=SLOTS)
    def a_sidecar_is_silent(self, slot: str) -> None:
        if pod := self.world.pod(slot):
            pod.silent = not pod.silent

    @rule(slot=SLOTS)
    def a_link_breaks(self, slot: str) -> None:
        if pod := self.world.pod(slot):
            pod.offline = not pod.offline

    @rule(slot=SLOTS)
    def a_node_is_lost(self, slot: str) -> None:
        if pod := self.world.pod(slot):
            self.world.lose(pod.node)

    @rule(slot=SLOTS)
    def a_node_is_cordoned(self, slot: str) -> None:
        if pod := self.world.pod(slot):
            self.world.cordoned.add(pod.node)

    @rule(slot=SLOTS)
    def a_pod_is_deleted_by_force(self, slot: str) -> None:
        if pod := self.world.pod(slot):
            self.world.force(pod)

    @precondition(lambda self: self.world.lost)
    @rule(away=st.booleans())
    def a_node_is_found(self, away: bool) -> None:  # noqa: FBT001 - as above
        node = min(self.world.lost)
        if away:
            self.world.out_of_service(node)
        else:
            self.world.found_again(node)

    @precondition(lambda self: self.world.late)
    @rule()
    def a_late_call_arrives(self) -> None:
        uid, epoch = self.world.late.pop(0)
        pods = [p for p in self.world.pods if p.uid == uid and p.alive and p.started]
        for pod in pods:
            self.world.activate(pod, epoch)

    @invariant()
    def one_trades(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.check_settled()


class MovesWithVolume(Moves):
    """The same, with the journal on a volume."""

    volume = True

    @rule()
    def the_volume_is_to_grow(self) -> None:
        self.world.claim += 1


@pytest.mark.parametrize("machine", [Moves, MovesWithVolume])
def test_whatever_happens_one_slot_trades_and_no_order_is_sent_twice(
    machine: type[Moves],
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            # The same stories each time; others when a number of runs is asked for.
            derandomize="MT5_MOVE_RUNS" not in os.environ,
            database=None,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_a_volume_that_is_to_grow_amid_a_move_is_made_anew() -> None:
    world = World(volume=True)
    for _ in range(4):
        advance(world)
    world.template = "t2"
    advance(world)
    assert world.sets["b"].claim == 1

    world.claim = 2
    for _ in range(12):
        advance(world)

    world.check_settled()
    assert [(name, found.claim) for name, found in world.sets.items()] == [("b", 2)]


def test_an_activation_that_arrives_after_the_fence_is_refused() -> None:
    world = World(volume=False)
    for _ in range(4):
        advance(world)
    world.template = "t2"
    while not (world.move and world.trader and world.trader.slot == "b"):
        world.kubelet()
        world.hear()
        world.reconcile(steps=1)
    new = world.pod("b")
    assert new is not None
    world.reconcile(steps=1, fate="late")  # it was told to trade; the words are on their way
    assert world.late == [(new.uid, 2)]
    new.silent = True
    world.hear()
    world.now_s += 15
    world.reconcile(stand=False)
    assert world.move.phase == "Returning"

    new.silent = False
    world.hear()
    world.reconcile(stand=False)
    world.hear()
    world.activate(new, 2)  # now they arrive

    world.check()
    assert not new.journal.active
    old = world.pod("a")
    assert old is not None
    assert old.journal.active


def test_keys_on_the_volume_of_a_slot_without_a_pod_are_fetched() -> None:
    world = World(volume=True)
    world.suspended = True
    world.kubelet()
    world.template = "t2"
    world.crash()
    world.suspended = False
    world.reconcile(steps=3)
    world.suspended = True
    world.reconcile(steps=1, stand=False)
    world.reconcile(steps=1)
    assert world.sets["b"].replicas == 0
    world.suspended = False
    world.reconcile(steps=1, stand=False)

    world.settle()

    world.check_settled()


def test_a_restart_is_made_once_whichever_clock_is_ahead() -> None:
    world = World(volume=False, ahead_s=600)
    for _ in range(4):
        advance(world)
    world.restart_s = world.now_s
    slots = []

    for _ in range(60):
        advance(world)
        slots.append(world.route)

    assert (slots[0], set(slots[30:])) == ("a", {"b"})
    world.restart_s = world.now_s  # another one is made, too
    for _ in range(30):
        advance(world)
    assert world.route == "a"


def test_a_leader_whose_cache_of_pods_is_behind_makes_no_second_trader() -> None:
    """The trader's pod was replaced; the next leader saw the old one go, and not the new one."""
    world = moving()
    old = world.pod("a")
    assert old is not None
    world.end(old)
    world.freeze()  # the standby's watch stops here
    frozen, world.stale = world.stale, None
    world.kubelet()
    world.hear()
    trades = world.pod("a")
    assert trades is not None
    while not trades.journal.active:
        world.reconcile(steps=1, stand=False)
    assert world.trader is not None
    assert (world.trader.slot, world.trader.pod) == ("a", trades.uid)
    assert trades.journal.active
    new = world.pod("b")
    assert new is not None

    world.stale = frozen
    world.crash()
    world.reconcile()
    world.check()
    world.hear()
    world.reconcile(steps=1)

    assert world.trader.pod == trades.uid
    world.check()


def test_a_pod_deleted_by_force_from_a_node_that_just_fell_silent_has_no_successor_yet() -> None:
    world = moving()
    old = world.pod("a")
    assert old is not None
    world.lose(old.node)  # no taint yet: that comes after some 50 s
    world.force(old)
    for _ in range(40):
        advance(world)
        world.check()
    assert world.trader is not None
    assert world.trader.pod == old.uid
    for _ in range(60):
        advance(world)
        world.check()
    assert world.trader.pod == old.uid  # the taint is there now

    world.out_of_service(old.node)
    for _ in range(5):
        advance(world)

    assert world.trader.pod != old.uid


def moving() -> World:
    """Return an account whose new slot is up, amid a move that did not hand over yet."""
    world = World(volume=False)
    for _ in range(4):
        advance(world)
    world.template = "t2"
    world.hear()
    world.reconcile(steps=1)
    world.kubelet()
    assert world.move is not None
    assert world.move.phase == "Starting"
    return world


def advance(world: World) -> None:
    """Let a second pass in which all goes well."""
    world.kubelet()
    world.hear()
    world.reconcile()
    world.now_s += 1
