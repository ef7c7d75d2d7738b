# SPDX-License-Identifier: Apache-2.0
"""Who gets the next place, and how many are kept warm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_operator.capacity import Place, Waiting, lines, places, told, waiting, warm
from mt5_operator.desired.placeholders import placeholders
from mt5_operator.desired.quantity import total
from mt5_operator.desired.stateful_set import stateful_set
from mt5_operator.names import Key
from mt5_operator.reconcile.context.admission import Admission
from mt5_operator.settings import Settings, WarmWindow
from mt5_operator.spec.account import Platform
from operator_samples import parsed

LINUX = Platform.LINUX
MONDAY = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
NO = "0/2 nodes are available: 2 Insufficient memory."


def who(number: int, *, vip: bool = False, refused: str = "", ordinary: bool = True) -> Waiting:
    key = Key("ns", f"a{number}")
    return Waiting(
        key, LINUX, vip, f"2026-11-21T10:00:{number:02}Z", f"u{number}", refused, ordinary
    )


def goes(line: list[Waiting], *, window: int = 2, held: tuple[int, ...] = ()) -> list[str]:
    unanswered = [Key("ns", f"a{number}") for number in held]
    found = places(line, window=window, unanswered=unanswered)
    return sorted(key.name for key, place in found.items() if not place.held)


def test_while_nobody_is_refused_everybody_goes() -> None:
    assert goes([who(n) for n in range(5)]) == ["a0", "a1", "a2", "a3", "a4"]


def test_when_places_are_short_the_oldest_go_first() -> None:
    assert goes([who(3), who(1), who(2, refused=NO), who(0)]) == ["a0", "a1"]


def test_a_vip_goes_before_all_others_however_old_they_are() -> None:
    assert goes([who(0, refused=NO), who(1, refused=NO), who(9, vip=True)]) == ["a9"]


CAPPED = "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints."


def test_a_namespace_that_is_at_the_cap_of_all_nodes_holds_back_no_other() -> None:
    # The cap counts the pods of one namespace: what it refuses says nothing of others.
    full = [who(n, vip=True, refused=CAPPED if n < 2 else "") for n in range(5)]
    others = [replace(who(n), key=Key("other", f"b{n}")) for n in range(5, 8)]

    assert lines([*full, *others]) == {"ns": full, "": others}
    assert goes(full) == ["a0", "a1"]
    assert goes(others) == ["b5", "b6", "b7"]


def test_a_line_that_was_held_is_let_in_by_and_by() -> None:
    assert goes([who(n) for n in range(5)], held=(3, 4)) == ["a0", "a1"]


def test_who_asks_for_more_than_others_holds_nobody_back() -> None:
    huge = who(0, vip=True, refused=NO, ordinary=False)

    assert goes([huge, who(1), who(2), who(3)]) == ["a0", "a1", "a2", "a3"]


@pytest.mark.parametrize(
    ("spec", "refused", "ordinary"),
    [
        ({}, NO, True),
        ({"resources": {"requests": {"memory": "100Gi"}}}, NO, False),
        ({}, "0/1 nodes are available: 1 node(s) had volume node affinity conflict.", False),
        ({}, "0/1 nodes: pod has unbound immediate PersistentVolumeClaims. not found", False),
        ({}, "0/1 nodes: 1 node(s) didn't match PersistentVolume's node affinity.", False),
        ({}, 'persistentvolumeclaim "data-demo-a-0" is being deleted.', False),
        ({}, "1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)", False),
        ({}, "0/1 nodes are available: 1 node(s) did not have enough free storage.", False),
        ({}, "1 Insufficient memory, 1 node(s) had volume node affinity conflict.", True),
    ],
)
def test_only_who_would_take_any_place_proves_that_there_is_none(
    spec: dict[str, Any],
    refused: str,
    ordinary: bool,  # noqa: FBT001 - a table
) -> None:
    assert waiting(parsed(**spec), LINUX, refused).short is ordinary


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()), max_size=30),
    st.integers(1, 5),
)
def test_somebody_always_goes_and_no_standard_account_before_a_waiting_vip(
    line: list[tuple[bool, bool, bool, bool]], window: int
) -> None:
    everyone = [
        who(n, vip=vip, refused=NO if no else "", ordinary=ordinary)
        for n, (vip, no, ordinary, _) in enumerate(line)
    ]
    held = [w.key for w, (*_, was_held) in zip(everyone, line, strict=True) if was_held]

    found = places(everyone, window=window, unanswered=held)

    assert set(found) == {w.key for w in everyone}
    assert sorted(p.position for p in found.values()) == list(range(1, len(everyone) + 1))
    in_front = [w for w in everyone if not found[w.key].held]
    assert bool(in_front) == bool(everyone)
    queued = any(p.held for p in found.values())
    if queued and any(w.vip and w.ordinary for w in everyone):
        assert all(w.vip for w in in_front)


def test_a_long_line_that_moves_does_not_change_every_word() -> None:
    words = {told(Place(number), LINUX) for number in range(1, 2000)}

    assert "place 3 in the queue for Linux (VIP first, then age)" in words
    assert len(words) == 17


def test_the_last_of_a_line_keeps_its_place_until_the_scheduler_has_answered_its_turn() -> None:
    room = Admission()
    room.wait(who(0, refused=NO))
    assert room.wait(who(1)) == Place(2, held=True)
    room.leave(who(0).key, LINUX)

    assert room.decide(window=1) == {who(1).key}
    assert room.decide(window=1) == set()

    assert room.wait(who(1)) == Place(1)
    room.leave(who(1).key, LINUX)
    room.decide(window=1)
    assert room.wait(who(2)) is None  # nobody is short any more


def test_a_new_leader_sends_nobody_forward_who_was_held() -> None:
    room = Admission()
    for number in range(5):
        room.wait(who(number))
        room.hold(who(number).key)

    room.decide(window=2)

    line = [room.wait(who(number)) for number in range(5)]
    assert line == [Place(1), Place(2), *(Place(n, held=True) for n in (3, 4, 5))]
    assert room.held(LINUX) == 3


def test_others_neither_wait_nor_go_unhealed_while_a_namespace_is_at_its_cap() -> None:
    room = Admission()
    other = replace(who(9), key=Key("other", "b"))
    for number in range(3):
        room.wait(who(number, refused=CAPPED))
    for _ in range(2):
        assert room.wait(other) is None
        assert not room.short(LINUX, "other")
        assert room.short(LINUX, "ns")
        room.decide(window=1)
    assert room.held(LINUX) == 2

    room.wait(replace(other, refused=NO))

    assert room.short(LINUX, "third")


def test_a_line_ends_when_nobody_waits() -> None:
    room = Admission()
    for number in range(3):
        room.wait(who(number, refused=NO))
    room.decide(window=1)
    for number in range(3):
        room.leave(Key("ns", f"a{number}"), LINUX)

    room.decide(window=1)

    assert room.wait(who(7)) is None
    assert room.accounts(LINUX) == 4


@pytest.mark.parametrize(
    ("platform", "accounts", "held", "settings", "count"),
    [
        (LINUX, 0, 0, {}, 2),
        (LINUX, 38, 0, {}, 2),
        (LINUX, 38, 5, {}, 7),
        (LINUX, 38, 500, {}, 50),
        (LINUX, 95, 0, {"warm_percent": 10}, 10),
        (LINUX, 5, 0, {"warm_schedule": [WarmWindow(start="07:00", end="09:00", linux=8)]}, 8),
        (LINUX, 5, 0, {"warm_schedule": [WarmWindow(start="08:00", end="09:00", linux=8)]}, 2),
        (LINUX, 5, 0, {"warm_schedule": [WarmWindow(start="22:00", end="07:31", linux=8)]}, 8),
        (
            LINUX,
            5,
            0,
            {"warm_schedule": [WarmWindow(days=["Mon"], start="22:00", end="07:31", linux=8)]},
            2,
        ),
        (Platform.WINDOWS, 0, 0, {}, 0),
        (Platform.WINDOWS, 1, 0, {}, 2),
        (Platform.WINDOWS, 1, 0, {"warm_windows": 0}, 0),
    ],
)
def test_the_buffer_follows_number_share_and_time_of_day(
    platform: Platform, accounts: int, held: int, settings: dict[str, Any], count: int
) -> None:
    found = warm(platform, accounts=accounts, held=held, now=MONDAY, settings=Settings(**settings))

    assert found == count


def test_a_placeholder_is_as_big_as_an_account_and_first_to_go() -> None:
    settings = Settings(priority_class_placeholder="low")
    wanted = placeholders(LINUX, 2, full=["node-1"], owner=None, settings=settings)
    pod = wanted["spec"]["template"]["spec"]

    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "300m", "memory": "832Mi"}
    assert pod["priorityClassName"] == "low"
    assert pod["terminationGracePeriodSeconds"] == 0
    assert "node-1" in str(pod["affinity"])
    assert "annotations" not in wanted["spec"]["template"]["metadata"]
    assert "mt5-account" not in str(wanted["spec"]["selector"])


def test_an_account_keeps_autoscalers_off_and_has_a_cap_and_a_class() -> None:
    settings = Settings(priority_class_vip="vip", priority_class_standard="standard")
    vip = stateful_set(parsed(priority="VIP"), Platform.WINDOWS, "a", settings)["spec"]["template"]
    plain = stateful_set(parsed(), LINUX, "a", settings)["spec"]["template"]["spec"]

    stays = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    assert stays.items() <= vip["metadata"]["annotations"].items()
    assert vip["spec"]["priorityClassName"] == "vip"
    assert vip["spec"]["topologySpreadConstraints"][0]["maxSkew"] == 24
    assert plain["priorityClassName"] == "standard"
    assert plain["topologySpreadConstraints"][0]["maxSkew"] == 38


@pytest.mark.parametrize(
    ("amounts", "sum_of_them"),
    [(("50m", "250m"), "300m"), (("64Mi", "768Mi"), "832Mi"), (("1", "500m"), "1500m")],
)
def test_quantities_add_up(amounts: tuple[str, ...], sum_of_them: str) -> None:
    assert total(*amounts) == sum_of_them
