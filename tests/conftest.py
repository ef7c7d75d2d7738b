# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the tiers' order, and the fixtures of the test cluster."""

import signal

import pytest

pytest_plugins = ["cluster.fixtures"]

TIERS = ("service", "contract", "cluster", "e2e")


def tier(item: pytest.Item) -> int:
    """Return 0 for a unit test, and more the more of the world it needs."""
    return max(
        (1 + TIERS.index(mark) for mark in TIERS if item.get_closest_marker(mark)), default=0
    )


def pytest_configure() -> None:
    """Ignore no signal that a background shell has us ignore: our children would, too."""
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the cheap tiers first, so that a broken build is told in seconds."""
    items.sort(key=tier)
