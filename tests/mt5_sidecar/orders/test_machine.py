# SPDX-License-Identifier: Apache-2.0
"""R1 as a state machine: Hypothesis chooses what happens, and shortens what goes wrong."""

import asyncio
import shutil
from typing import Any

import simulate
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from order_world.judge import judge
from order_world.story import Story
from order_world.terminal import FAULTS


class Desk(RuleBasedStateMachine):
    """A story whose author is Hypothesis."""

    @initialize(seed=st.integers(1, 2**32))
    def begin(self, seed: int) -> None:
        self.folder = simulate.folder()
        self.runner = asyncio.Runner()
        self.story = Story(seed, self.folder)
        self.live(self.story.house.begin())
        self.live(self.story._wait_until_open())

    def live(self, happening: Any) -> None:
        self.runner.run(happening)
        if self.story.house.dead:
            self.runner.run(self.story._restart())

    @rule(fault=st.sampled_from((None, *FAULTS)))
    def submit(self, fault: str | None) -> None:
        self.story.house.terminal.fault = fault
        self.live(self.story.submit_new())

    @rule()
    def retry(self) -> None:
        self.live(self.story.retry())

    @rule()
    def submit_twice_at_once(self) -> None:
        self.live(self.story.submit_twice_at_once())

    @rule()
    def other_body(self) -> None:
        self.live(self.story.other_body())

    @rule(at=st.integers(1, 3), before=st.booleans())
    def die_while_writing(self, at: int, before: bool) -> None:  # noqa: FBT001  a choice
        store = self.story.house.store
        assert store is not None
        store.kill_at, store.kill_before = at, before
        self.live(self.story.submit_new())

    @rule()
    def be_killed(self) -> None:
        self.live(self.story.killed())

    @rule()
    def lose_journal(self) -> None:
        self.live(self.story.journal_lost())

    @rule()
    def move(self) -> None:
        self.live(self.story.moved_to_the_other_slot())

    @rule(ms=st.integers(0, 40_000))
    def wait(self, ms: int) -> None:
        self.story.world.advance(ms)
        self.live(self.story.reconcile())

    @rule()
    def break_link(self) -> None:
        self.live(self.story.link_breaks())

    @rule()
    def others_trade(self) -> None:
        self.live(self.story.others_trade())

    @rule()
    def strangers_trade_alike(self) -> None:
        self.live(self.story.strangers_trade_alike())

    @rule()
    def person_speaks(self) -> None:
        self.live(self.story.person_speaks())

    @rule()
    def market_moves(self) -> None:
        self.live(self.story.market_moves())

    @invariant()
    def the_book_agrees(self) -> None:
        for trade in self.story.trades if hasattr(self, "story") else ():
            judge(trade, self.story.world.broker)

    def teardown(self) -> None:
        if hasattr(self, "story"):
            try:
                self.runner.run(self.story._ending())
            finally:
                self.runner.close()
                shutil.rmtree(self.folder, ignore_errors=True)


TestDesk = Desk.TestCase
TestDesk.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
