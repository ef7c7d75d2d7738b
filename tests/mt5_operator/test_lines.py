# SPDX-License-Identifier: Apache-2.0
"""The lines of who waits say the same as going through everybody would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mt5_operator.moving.lines import Lines, Place
from mt5_operator.names import Key

keys = st.builds(Key, st.sampled_from("abc"), st.sampled_from("123456"))
places = st.builds(Place, st.integers(0, 2), st.sampled_from([1.0, 2.0]), keys, st.booleans())


@given(st.lists(st.one_of(places, keys), max_size=40))
def test_the_first_of_each_namespace_are_told_in_order(steps: list[Place | Key]) -> None:
    lines, waiting = Lines(), dict[Key, Place]()

    for step in steps:
        if isinstance(step, Place):
            lines.put(step)
            waiting[step.key] = step
        else:
            lines.leave(step)
            waiting.pop(step, None)

    assert len(lines) == len(waiting)
    assert all(lines.get(key) == waiting.get(key) for key in (*waiting, Key("a", "9")))
    for serves in (True, False):
        firsts = {
            space: min(
                (p for p in waiting.values() if p.serves is serves and p.key.namespace == space),
                default=None,
            )
            for space in "abc"
        }
        assert list(lines.heads(serves=serves)) == sorted(filter(None, firsts.values()))
        assert all(lines.head(space, serves=serves) == firsts[space] for space in "abc")
