# SPDX-License-Identifier: Apache-2.0
"""How long is waited between attempts."""

import pytest

from mt5_agent.backoff import Backoff


async def test_each_wait_is_twice_the_last_up_to_a_limit_and_short_again_after_a_success():
    slept = []

    async def sleep(wait_s):
        slept.append(wait_s)

    backoff = Backoff(first_s=0.5, most_s=8, sleep=sleep)
    for _ in range(7):
        await backoff.wait()
    backoff.reset()
    await backoff.wait()

    assert slept == [pytest.approx(n, rel=0.2) for n in (0.5, 1, 2, 4, 8, 8, 8, 0.5)]


async def test_waits_of_many_accounts_differ():
    assert len({Backoff(first_s=1, most_s=8).next_s() for _ in range(20)}) > 10
