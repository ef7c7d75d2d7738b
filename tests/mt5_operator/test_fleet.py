# SPDX-License-Identifier: Apache-2.0
"""A fleet is updated a few at a time, in order, and not at all after a failure."""

from __future__ import annotations

from typing import Any

import pytest

from mt5_operator import metrics
from mt5_operator.moving.fleet import Fleet
from mt5_operator.names import Key
from mt5_operator.settings import Settings

T = "TemplateChanged"


class Bench:
    """A fleet with a clock in the hand."""

    def __init__(self, *, shared: bool = False, **changes: Any) -> None:
        self.now_s = 1000.0
        self.due: list[Key] = []
        settings = Settings(**{"move_gather_s": 0, "move_pause_s": 0, "move_max": 3, **changes})
        self.fleet = Fleet(
            settings, now_s=lambda: self.now_s, due=self.due.append, shared=lambda: shared
        )

    def ask(
        self,
        name: str,
        *,
        space: str = "ns",
        vip: bool = False,
        reason: str = T,
        serves: bool = True,
    ) -> bool:
        """Ask for an account; tell whether it may begin."""
        return self.fleet.ask(Key(space, name), vip=vip, reason=reason, serves=serves).granted

    def fail(self, space: str, *, unplaced: bool = False) -> None:
        """Let a move of a namespace begin, and fail."""
        assert self.ask("bad", space=space)
        self.fleet.over(Key(space, "bad"), failed=True, unplaced=unplaced)


def test_updates_are_three_at_a_time_and_ten_seconds_apart_by_default() -> None:
    bench = Bench(**{name: Settings.model_fields[name].default for name in ("move_pause_s",)})
    names = [f"n{n}" for n in range(5)]

    begun: list[tuple[float, str]] = []
    for _ in range(60):
        waiting = [name for name in names if name not in dict(map(reversed, begun))]
        begun += [(bench.now_s, name) for name in waiting if bench.ask(name)]
        bench.now_s += 1

    assert [at - 1000 for at, _ in begun] == [0, 10, 20]
    assert Settings().move_max == 3
    bench.fleet.over(Key("ns", "n0"))
    assert bench.due
    assert bench.ask("n3")
    assert not bench.ask("n4")


@pytest.mark.parametrize(("rule", "first"), [("Last", "plain"), ("First", "vip")])
def test_vip_accounts_are_updated_first_or_last(rule: str, first: str) -> None:
    bench = Bench(move_vip=rule, move_gather_s=2)
    assert not bench.ask("vip", vip=True)
    assert not bench.ask("plain")
    bench.now_s += 3

    begun = [name for name in ("vip", "plain") if bench.ask(name, vip=name == "vip")]

    assert begun[:1] == [first]


def test_who_waits_for_others_does_not_look_at_the_clock_and_says_its_place() -> None:
    bench = Bench(move_max=1, move_pause_s=10)
    keys = [Key("ns", f"n{n}") for n in range(5)]
    assert bench.ask("n0")
    bench.now_s += 1

    answers = [bench.fleet.ask(k, vip=False, reason=T, serves=True) for k in keys[1:]]

    turn = "its turn has not come: MT5_OPERATOR_MOVE_MAX accounts move at once; it has place"
    assert [each.why for each in answers] == [f"{turn} {n} in its namespace" for n in (1, 2, 3, 4)]
    assert all(answer.until_s >= bench.now_s + Settings().resync_s for answer in answers)
    bench.due.clear()
    bench.fleet.over(keys[0])
    assert bench.due == [keys[1]]
    first = bench.fleet.ask(keys[1], vip=False, reason=T, serves=True)
    assert first.until_s == 1010


def places(bench: Bench, names: list[str]) -> dict[str, str]:
    """Return what is told of each place in the line."""
    keys = {name: Key("ns", name) for name in names}
    told = {n: bench.fleet.ask(k, vip=False, reason=T, serves=True).why for n, k in keys.items()}
    return {name: why.rpartition(" place ")[2] for name, why in told.items()}


def test_a_place_far_behind_is_told_so_that_a_line_that_moves_changes_few_statuses() -> None:
    bench = Bench(move_max=1)
    names = [f"n{number:04}" for number in range(1102)]
    for name in names:
        bench.ask(name)

    before = places(bench, names[2:])
    bench.fleet.over(Key("ns", names[0]))
    assert bench.ask(names[1])
    after = places(bench, names[2:])

    assert (before["n0011"], before["n0101"], before["n1101"]) == (
        "up to 20 in its namespace",
        "up to 200 in its namespace",
        "beyond 1000 in its namespace",
    )
    # The first ten, and who comes nearer by a step.
    assert len([name for name in before if before[name] != after[name]]) == 9 + 1 + 6
    # A new leader, whom all ask in their order, has nothing else to tell of them.
    new = Bench(move_max=1)
    assert new.ask(names[1])
    assert places(new, names[2:]) == after


def test_a_move_that_was_granted_and_not_written_is_granted_again() -> None:
    bench = Bench(move_max=1)

    assert bench.ask("one")
    assert bench.ask("one")
    bench.fleet.step_aside(Key("ns", "one"))
    assert bench.ask("two")


def test_after_a_failure_only_what_must_move_moves() -> None:
    bench = Bench(move_failure_pause_s=600)
    assert bench.ask("bad")
    bench.fleet.over(Key("ns", "bad"), failed=True)

    assert not bench.ask("next")
    assert bench.ask("drained", reason="NodeLeaving")
    assert bench.ask("broken", serves=False)
    bench.now_s += 601
    assert bench.ask("next")


def test_accounts_that_serve_nobody_hold_up_no_update_of_those_that_do() -> None:
    # Whose password is wrong comes up nowhere: each try takes its deadline, and fails.
    bench = Bench(move_failure_pause_s=600)
    assert all(bench.ask(f"broken-{n}", serves=False) for n in range(3))
    assert not bench.ask("broken-3", serves=False)

    assert bench.ask("well-0")
    bench.fleet.over(Key("ns", "broken-0"), failed=True)
    assert bench.ask("well-1")
    assert bench.ask("broken-3", serves=False)
    assert bench.ask("well-2")
    assert not bench.ask("well-3")
    bench.due.clear()
    bench.fleet.over(Key("ns", "well-0"))
    assert bench.due == [Key("ns", "well-3")]
    assert bench.ask("well-3")


def test_a_new_leader_is_not_held_up_by_them_either() -> None:
    bench = Bench(move_max=1, move_failure_pause_s=600)
    started = {"since": "1970-01-01T00:16:30Z", "started": "1970-01-01T00:16:30Z"}
    move = {"to": "b", "goal": "g", "template": "t", "reason": T, "phase": "Starting", **started}
    failed = {"goal": "g", "outcome": "Failed", "at": "1970-01-01T00:16:30Z"}
    away = {"conditions": [{"type": "Connected", "status": "False"}]}
    bench.fleet.recall(
        [account("moving", {"move": move} | away), account("failed", {"lastMove": failed} | away)]
    )

    assert bench.ask("well")
    assert not bench.ask("broken", serves=False)


def test_a_new_leader_knows_what_moves_and_what_failed() -> None:
    bench = Bench(move_max=1, move_failure_pause_s=600)
    started = {"since": "1970-01-01T00:16:30Z", "started": "1970-01-01T00:16:30Z"}
    move = {"to": "b", "goal": "g", "template": "t", "reason": T, "phase": "Starting", **started}
    failed = {"goal": "g", "outcome": "Failed", "at": "1970-01-01T00:16:30Z"}
    bench.fleet.recall([account("moving", {"move": move}), account("failed", {"lastMove": failed})])

    assert not bench.ask("next")
    bench.now_s += 601
    assert not bench.ask("next")
    bench.fleet.over(Key("ns", "moving"))
    assert bench.ask("next")


def test_times_of_a_leader_whose_clock_was_ahead_hold_nobody_back_until_they_come() -> None:
    bench = Bench(move_max=2, move_pause_s=10, move_failure_pause_s=600)
    ahead = {"since": "1970-01-02T00:00:00Z", "started": "1970-01-02T00:00:00Z"}
    move = {"to": "b", "goal": "g", "template": "t", "reason": T, "phase": "Starting", **ahead}
    failed = {"goal": "g", "outcome": "Failed", "at": "1970-01-02T00:00:00Z"}
    bench.fleet.recall([account("moving", {"move": move}), account("failed", {"lastMove": failed})])

    assert not bench.ask("next")
    bench.now_s += 601
    assert bench.ask("next")


def test_an_account_that_need_not_move_any_more_keeps_nobody_waiting() -> None:
    bench = Bench(move_max=1)
    assert bench.ask("one")
    assert not bench.ask("two")
    assert not bench.ask("three")
    bench.fleet.step_aside(Key("ns", "two"))
    bench.fleet.step_aside(Key("ns", "one"))

    assert bench.ask("three")


def test_who_asks_no_more_holds_up_nobody_for_ever() -> None:
    bench = Bench(move_gather_s=2)
    assert not bench.ask("first")  # and its looks fail from now on
    assert not bench.ask("broken", serves=False)
    bench.now_s += 1
    assert not bench.ask("next")
    bench.now_s += 2 * Settings().resync_s - 2
    bench.ask("broken", serves=False)
    assert not bench.ask("next")

    bench.now_s += 1

    assert bench.ask("next")


def test_updates_are_paused_by_hand_and_nodes_are_left_all_the_same() -> None:
    bench = Bench(move_max=0)
    told = bench.fleet.ask(Key("ns", "broken"), vip=False, reason=T, serves=False)

    assert "MT5_OPERATOR_MOVE_MAX is 0" in told.why
    assert not bench.ask("well")
    assert bench.ask("drained", reason="NodeLeaving")
    assert not bench.ask("next", reason="NodeLeaving")
    bench.fleet.over(Key("ns", "drained"))
    assert bench.ask("next", reason="NodeLeaving")


def test_an_account_that_is_lost_after_its_move_is_a_failure_and_one_only() -> None:
    bench = Bench(move_failure_pause_s=600)

    assert bench.fleet.lost(Key("ns", "one"), "2026-01-01T00:00:00Z")
    assert not bench.ask("next")
    bench.now_s += 599
    assert not bench.fleet.lost(Key("ns", "one"), "2026-01-01T00:00:00Z")
    bench.now_s += 2

    assert bench.ask("next")


def test_a_failure_pauses_its_own_namespace_and_two_pause_everybody() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    bench.fail("one")

    told = bench.fleet.ask(Key("one", "next"), vip=False, reason=T, serves=True)
    assert told.why == "a move failed in this namespace: updates pause here"
    assert bench.fleet.pauses() == (1, False)
    assert bench.ask("well", space="other")
    bench.now_s += 599
    bench.fail("two")

    told = bench.fleet.ask(Key("third", "x"), vip=False, reason=T, serves=True)
    assert told.why == "moves failed in several namespaces: updates of all accounts pause"
    assert bench.fleet.pauses() == (2, True)
    bench.now_s += 2  # the first one is long ago
    assert bench.fleet.pauses() == (1, False)
    bench.fleet.step_aside(Key("one", "next"))
    assert not bench.ask("next", space="two")
    assert bench.ask("x", space="third")


def test_one_namespace_that_fails_again_and_again_is_still_one() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    for number in range(5):
        bench.fail("one")
        assert bench.fleet.lost(Key("one", "bad"), f"2026-01-01T00:00:0{number}Z")
        assert bench.ask(f"n{number}", space="other")
        bench.fleet.over(Key("other", f"n{number}"))
        bench.now_s += 601


def test_who_finds_no_node_says_nothing_of_others() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    for space in ("one", "two", "three"):
        bench.fail(space, unplaced=True)

    assert not bench.ask("next", space="one")
    assert bench.fleet.pauses() == (3, False)
    assert bench.ask("well", space="other")


def test_a_single_failure_pauses_everybody_where_that_is_wanted() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600, move_failure_namespaces=1)
    bench.fail("one")

    assert not bench.ask("well", space="other")


def test_a_bad_image_begins_few_moves_however_many_namespaces_there_are() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    waiting = [f"ns{n}" for n in range(50)]
    moving = [space for space in waiting if bench.ask("a", space=space)]
    for space in moving:
        bench.fleet.over(Key(space, "a"), failed=True)

    assert len(moving) == 3
    assert not any(bench.ask("b", space=space) for space in waiting)


def test_a_namespace_leaves_a_turn_to_the_others() -> None:
    # Each of its moves may take its whole deadline.
    bench = Bench(shared=True)
    begun = [n for n in range(20) if bench.ask(f"n{n}", space="greedy")]
    assert len(begun) == 2

    assert bench.ask("x", space="other")
    assert not bench.ask("y", space="third")
    bench.due.clear()
    bench.fleet.over(Key("other", "x"))
    assert bench.due == [Key("third", "y")], "and not who waits longer, and may not"
    assert bench.ask("y", space="third")


def test_where_one_namespace_has_all_accounts_it_has_all_turns() -> None:
    bench = Bench(shared=False)
    assert [bench.ask(f"n{n}") for n in range(4)] == [True, True, True, False]


def test_who_pauses_is_woken_when_it_is_over_and_by_nobody_else() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    assert bench.ask("bad", space="one")
    bench.now_s += 1
    bench.fleet.ask(Key("one", "busy"), vip=False, reason=T, serves=True)
    assert not bench.ask("next", space="one")
    bench.due.clear()

    bench.fleet.over(Key("one", "bad"), failed=True)

    assert bench.due == [Key("one", "next")]
    answer = bench.fleet.ask(Key("one", "next"), vip=False, reason=T, serves=True)
    assert answer.until_s == bench.now_s + 600


def test_when_everybody_pauses_the_first_in_line_learns_until_when() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    bench.fail("one")
    assert bench.ask("bad", space="two")
    bench.fleet.ask(Key("third", "busy"), vip=False, reason=T, serves=True)
    bench.now_s += 1
    bench.fleet.ask(Key("fourth", "busy"), vip=False, reason=T, serves=True)
    assert not bench.ask("next", space="fifth")
    bench.due.clear()

    bench.fleet.over(Key("two", "bad"), failed=True)

    assert bench.due == [Key("fifth", "next")], "else nobody looked before the next resync"


def test_a_new_leader_knows_whose_failures_pause_whom() -> None:
    bench = Bench(shared=True, move_failure_pause_s=600)
    failed = {"goal": "g", "outcome": "Failed", "at": "1970-01-01T00:16:30Z"}
    found = [account("a", {"lastMove": failed}) for _ in range(3)]
    for space, each in zip(("one", "two", "three"), found, strict=True):
        each["metadata"]["namespace"] = space
    found[1]["status"]["lastMove"] = failed | {"unplaced": True}
    bench.fleet.recall(found[:2])

    assert not bench.ask("next", space="one")
    assert not bench.ask("next", space="two")
    assert bench.ask("well", space="other")
    bench.fleet.recall(found[2:])
    assert not bench.ask("well", space="another")


def account(name: str, status: dict[str, Any]) -> dict[str, Any]:
    """Return an account with this status."""
    well = {"conditions": [{"type": "Connected", "status": "True"}]}
    return {"metadata": {"namespace": "ns", "name": name}, "status": well | status}


def test_the_first_failed_move_is_an_increase_to_prometheus() -> None:
    metrics.MOVES.clear()

    Bench()

    for reason in ("RestartAsked", "TemplateChanged", "NodeLeaving"):
        labels = {"reason": reason, "outcome": "Failed"}
        assert metrics.REGISTRY.get_sample_value("mt5_operator_moves_total", labels) == 0
