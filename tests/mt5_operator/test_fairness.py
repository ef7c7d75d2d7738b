# SPDX-License-Identifier: Apache-2.0
"""No namespace uses up what all of them share; model tests of the one rule for it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mt5_operator.fairness import may_take

LIMITS = st.integers(1, 20)


def filled(limit: int, askers: Sequence[str], *, shared: bool = True) -> list[str]:
    """Return who has places after these asked for one each, in turn."""
    held: list[str] = []
    for namespace in askers:
        if may_take(namespace, held, limit=limit, shared=shared):
            held.append(namespace)
    return held


@given(limit=LIMITS, askers=st.lists(st.sampled_from("abcd"), max_size=80))
def test_a_newcomer_is_let_in_wherever_a_place_is_free(limit: int, askers: list[str]) -> None:
    held = filled(limit, askers)

    assert len(held) <= limit
    assert may_take("newcomer", held, limit=limit, shared=True) == (len(held) < limit)


@given(limit=LIMITS, askers=st.lists(st.sampled_from("abcd"), max_size=80))
def test_no_namespace_ever_has_more_than_half(limit: int, askers: list[str]) -> None:
    held = filled(limit, askers)

    assert all(held.count(namespace) <= (limit + 1) // 2 for namespace in "abcd")


@given(limit=st.integers(2, 20), times=st.integers(1, 80))
def test_one_that_asks_for_ever_leaves_a_place_to_another(limit: int, times: int) -> None:
    assert may_take("other", filled(limit, ["greedy"] * times), limit=limit, shared=True)


@given(limit=LIMITS, count=st.integers(2, 6))
def test_those_who_ask_for_ever_come_to_have_alike(limit: int, count: int) -> None:
    names = [f"n{n}" for n in range(count)]
    held = filled(limit, names * 20)

    shares = [held.count(name) for name in names]
    assert max(shares) - min(shares) <= 1


@given(limit=LIMITS)
def test_who_shares_with_nobody_has_every_place(limit: int) -> None:
    assert filled(limit, ["ns"] * 50, shared=False) == ["ns"] * limit
