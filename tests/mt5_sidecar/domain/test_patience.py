# SPDX-License-Identifier: Apache-2.0
import pytest

from mt5_sidecar.domain.patience import awaited


class Watch:
    """Shows one number after the other, and notes how long was slept between."""

    def __init__(self, *shows: int) -> None:
        self._shows = iter(shows)
        self.slept_s: list[float] = []

    async def look(self) -> int:
        return next(self._shows)

    async def sleep(self, time_s: float) -> None:
        self.slept_s.append(time_s)

    async def awaited(self, seen: int, *, timeout_s: float) -> int:
        return await awaited(
            seen,
            self.look,
            lambda shown: shown > 2,
            timeout_s=timeout_s,
            interval_s=0.1,
            sleep=self.sleep,
        )


async def test_what_is_good_already_is_not_waited_for() -> None:
    watch = Watch()

    assert await watch.awaited(3, timeout_s=1) == 3
    assert watch.slept_s == []


async def test_it_is_looked_at_again_until_it_is_good_and_no_more() -> None:
    watch = Watch(1, 2, 3, 4)

    assert await watch.awaited(0, timeout_s=1) == 3
    assert watch.slept_s == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(("timeout_s", "looks"), [(0, 0), (0.05, 1), (0.3, 3), (0.35, 4)])
async def test_when_time_is_up_the_last_look_is_returned(timeout_s: float, looks: int) -> None:
    watch = Watch(*[-n for n in range(1, 10)])

    assert await watch.awaited(0, timeout_s=timeout_s) == -looks
    assert len(watch.slept_s) == looks
