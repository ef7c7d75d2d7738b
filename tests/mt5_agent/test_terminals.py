# SPDX-License-Identifier: Apache-2.0
"""The terminal is started again, quickly where it had run for long."""

import sys
from types import SimpleNamespace

import pytest

from mt5_agent.settings import Settings
from mt5_agent.supervisor import Supervisor
from mt5_agent.terminals import Terminal


@pytest.mark.parametrize(("steady_s", "resets"), [(0, 1), (1000, 0)])
async def test_the_next_start_is_quick_after_a_life_as_long_as_is_set(steady_s, resets):
    reset = []

    def no_matter(*_):
        pass

    terminal = Terminal(
        SimpleNamespace(),
        backoff=SimpleNamespace(reset=lambda: reset.append(True)),
        steady_s=steady_s,
        began=no_matter,
        ended=no_matter,
        restarted=no_matter,
        failed=no_matter,
    )

    await terminal._one_life([sys.executable, "-c", "pass"])

    assert len(reset) == resets


async def test_a_setting_says_how_long_that_is():
    assert Supervisor(Settings(backend="simulator", steady_s=7))._terminal._steady_s == 7
