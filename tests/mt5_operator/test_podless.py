# SPDX-License-Identifier: Apache-2.0
"""A StatefulSet has no pod although its controller looked at it: since when."""

from __future__ import annotations

from typing import Any

import pytest

from mt5_operator.names import Key
from mt5_operator.reconcile.podless import Podless

KEY = Key("ns", "demo-a")


def stateful_set(*, replicas: int = 1, observed: int = 2, made: int = 0) -> dict[str, Any]:
    """Return one of generation 2, as its controller left it."""
    status = {"observedGeneration": observed, "replicas": made}
    return {"metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": status}


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def podless(now: list[float]) -> Podless:
    return Podless(lambda: now[0])


def test_it_is_counted_from_the_first_look(podless: Podless, now: list[float]) -> None:
    assert podless.for_s(KEY, stateful_set(), has_pod=False) == 0
    now[0] += 12

    assert podless.for_s(KEY, stateful_set(), has_pod=False) == 12
    assert podless.next_s(KEY, 30) == 18
    assert podless.next_s(KEY, 12) is None
    podless.forget(KEY)
    assert podless.next_s(KEY, 30) is None


@pytest.mark.parametrize(
    ("found", "has_pod"),
    [
        (stateful_set(), True),
        (stateful_set(observed=1), False),  # its controller did not look yet, or is away
        (stateful_set(made=1), False),  # the pod is made, and our watch is late
        (stateful_set(replicas=0), False),
        ({"metadata": {}, "spec": {"replicas": 1}}, False),
        (stateful_set() | {"metadata": {"generation": 2, "deletionTimestamp": "now"}}, False),
        (None, False),
    ],
)
def test_it_begins_anew_where_nothing_is_missing(
    podless: Podless, now: list[float], found: dict[str, Any] | None, *, has_pod: bool
) -> None:
    podless.for_s(KEY, stateful_set(), has_pod=False)
    now[0] += 100

    assert podless.for_s(KEY, found, has_pod=has_pod) == 0
    assert podless.next_s(KEY, 30) is None
