# SPDX-License-Identifier: Apache-2.0
"""A StatefulSet has no pod: since when, and whether its controller looked at it."""

from __future__ import annotations

from typing import Any

import pytest

from mt5_operator.names import Key
from mt5_operator.reconcile.context.podless import Podless
from mt5_operator.status.seen import Podless as Seen

KEY = Key("ns", "demo-a")
LIMIT_S = 30


def stateful_set(*, replicas: int = 1, observed: int = 2, made: int = 0) -> dict[str, Any]:
    """Return one of generation 2, as its controller left it."""
    status = {"observedGeneration": observed, "replicas": made}
    return {"metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": status}


REFUSED = stateful_set()
# The API server's own status of a new one; its controller writes observedGeneration.
UNTAKEN: dict[str, Any] = stateful_set() | {"status": {"replicas": 0}}


class Clock:
    """A leader's memory and its clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.podless = Podless(lambda: self.now_s)

    def look(
        self, found: dict[str, Any] | None, key: Key = KEY, *, has_pod: bool = False
    ) -> Seen | None:
        """Look at one."""
        return self.podless.look(key, found, has_pod=has_pod, limit_s=LIMIT_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_counted_from_the_first_look(clock: Clock) -> None:
    assert clock.look(REFUSED) is None
    clock.now_s += 12
    assert clock.look(REFUSED) is None
    assert clock.podless.next_s(KEY, LIMIT_S) == 18

    clock.now_s += 18

    assert clock.look(REFUSED) == Seen("demo-a")
    assert clock.podless.next_s(KEY, LIMIT_S) is None
    clock.now_s -= 1
    clock.podless.forget(KEY)
    assert clock.podless.next_s(KEY, LIMIT_S) is None


@pytest.mark.parametrize(
    ("found", "has_pod"),
    [
        (REFUSED, True),
        (stateful_set(made=1), False),  # the pod is made, and our watch is late
        (stateful_set(replicas=0), False),
        ({"metadata": {}, "spec": {"replicas": 1}}, False),
        (stateful_set() | {"metadata": {"generation": 2, "deletionTimestamp": "now"}}, False),
        (None, False),
    ],
)
def test_it_begins_anew_where_nothing_is_missing(
    clock: Clock, found: dict[str, Any] | None, *, has_pod: bool
) -> None:
    clock.look(REFUSED)
    clock.now_s += 100

    assert clock.look(found, has_pod=has_pod) is None
    assert clock.podless.next_s(KEY, LIMIT_S) is None


@pytest.mark.parametrize("untaken", [UNTAKEN, stateful_set(observed=1)])
def test_a_controller_that_is_away_or_behind_is_not_called_a_refusal(
    clock: Clock, untaken: dict[str, Any]
) -> None:
    clock.look(untaken)
    clock.now_s += LIMIT_S
    assert clock.look(untaken) is None
    assert clock.podless.next_s(KEY, LIMIT_S) == 9 * LIMIT_S

    clock.now_s += 9 * LIMIT_S

    assert clock.look(untaken) == Seen("demo-a", taken_up=False, refused=False)
    # It looks at last, and what it does then is counted from then.
    assert clock.look(REFUSED) is None


@pytest.mark.parametrize("has_pod", [True, False])
def test_whose_turn_was_passed_over_is_refused(clock: Clock, *, has_pod: bool) -> None:
    later = Key("ns", "later-a")
    clock.look(UNTAKEN)
    clock.now_s += LIMIT_S
    clock.look(UNTAKEN, later)
    assert clock.look(UNTAKEN) is None

    clock.look(stateful_set(made=1), later, has_pod=has_pod)

    assert clock.look(UNTAKEN) == Seen("demo-a", taken_up=False, refused=True)
    # Who came together with the other is not passed over yet.
    assert clock.look(UNTAKEN, Key("ns", "third-a")) is None
