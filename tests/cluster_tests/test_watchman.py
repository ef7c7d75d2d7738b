# SPDX-License-Identifier: Apache-2.0
"""Who looks on while tests disturb an installation must see harm when there is some."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from operator_cluster import watchman
from operator_cluster.watchman import Watchman


class Installation:
    """Two accounts, a pod each, and all is well."""

    def __init__(self) -> None:
        self.accounts = {"acc-1": "10001", "acc-2": "10002"}
        self.pods = {"pod-1": "acc-1", "pod-2": "acc-2"}
        self.routing = {"10001": self.route("pod-1"), "10002": self.route("pod-2")}
        self.trading = ["pod-1", "pod-2"]
        self.activations: list[tuple[float, str, list[str]]] = []

    @staticmethod
    def route(uid: str, epoch: int = 1) -> dict[str, Any]:
        return {"uid": uid, "epoch": epoch, "address": "10.0.0.1:8080"}

    def list(self, kind: str, **_: str) -> list[dict[str, Any]]:
        if kind == "mt5accounts":
            return [
                {"metadata": {"uid": u}, "spec": {"login": n}} for u, n in self.accounts.items()
            ]
        return [{"metadata": {"uid": u, "labels": _labels(a)}} for u, a in self.pods.items()]

    def routes(self) -> dict[str, dict[str, Any]]:
        return self.routing

    def active(self) -> list[str]:
        return self.trading

    def told_to_trade(self, uid: str, *others: str) -> None:
        self.activations.append((time.monotonic(), uid, [*others]))


def _labels(account: str) -> dict[str, str]:
    return {"mt5bridge.io/account": account, "mt5bridge.io/account-uid": account}


def looks(there: Installation) -> Watchman:
    """Return a watchman that has looked once, while all was well."""
    everything: Any = there
    found = Watchman(everything, everything, everything)
    found._look()
    assert found.harm == []
    return found


def a_second_trader(there: Installation) -> None:
    there.pods["pod-1b"] = "acc-1"
    there.told_to_trade("pod-1b", "pod-1", "pod-2")


def another_ones_pod(there: Installation) -> None:
    there.routing["10001"] = there.route("pod-2")


def a_third_pod(there: Installation) -> None:
    there.pods |= {"pod-1b": "acc-1", "pod-1c": "acc-1"}


def an_epoch_that_was(there: Installation) -> None:
    there.routing["10001"] = there.route("pod-1", epoch=0)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (a_second_trader, "pod-1b and pod-1 of acc-1 traded"),
        (another_ones_pod, "the route of 10001 leads to the pod of acc-2"),
        (a_third_pod, "3 pods of acc-1"),
        (an_epoch_that_was, "the epoch of 10001 went back to 0"),
    ],
)
def test_harm_is_told(harm: Callable[[Installation], None], told: str) -> None:
    there = Installation()
    found = looks(there)

    harm(there)
    found._look()
    found._look()

    assert told in found.harm


def test_a_route_to_a_fenced_slot_is_harm_once_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Installation()
    found = looks(there)
    there.pods["pod-1b"] = "acc-1"
    there.trading = ["pod-1b", "pod-2"]

    found._look()
    assert found.harm == []
    monkeypatch.setattr(watchman, "ASTRAY_S", 0)
    found._look()

    assert found.harm == ["the route of 10001 leads to a fenced slot of acc-1"]


def test_a_successor_of_who_is_gone_is_no_harm() -> None:
    there = Installation()
    found = looks(there)
    there.pods = {"pod-1b": "acc-1", "pod-2": "acc-2"}
    there.told_to_trade("pod-1b", "pod-1")
    there.trading = ["pod-1b", "pod-2"]
    there.routing["10001"] = there.route("pod-1b", epoch=2)

    found._look()

    assert found.judged == 1
    assert found.harm == []
