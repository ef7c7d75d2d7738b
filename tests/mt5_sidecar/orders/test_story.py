# SPDX-License-Identifier: Apache-2.0
"""R1: seeded stories, judged by the broker's own book. 20,000 submits here, millions by hand."""

import pytest
import simulate

SEEDS_A_TEST = 10
TESTS = 10


@pytest.mark.parametrize("part", range(TESTS))
def test_no_order_is_sent_twice_and_no_outcome_is_told_wrong(part: int) -> None:
    first = 1 + part * SEEDS_A_TEST

    submits = sum(simulate.one(seed)["submits"] for seed in range(first, first + SEEDS_A_TEST))

    assert submits >= SEEDS_A_TEST * simulate.SUBMITS


def test_a_seed_tells_the_same_story_twice() -> None:
    assert simulate.one(7) == simulate.one(7)
