# SPDX-License-Identifier: Apache-2.0
"""Two installations share a cluster's brokers: one reviews, so no condition comes and goes.

Who overlaps is asked for the servers of one's own accounts. So two that both wrote would not agree
on `Overlapping`, and each one's write would be the other's news.
"""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest

from mt5_operator.cluster.kinds import ACCOUNT, BROKER
from mt5_operator.names import Key
from mt5_operator.reconcile.brokers import brokers
from mt5_operator.reconcile.feed import feed
from operator_samples import manifest

from .test_reconcile import Bench

NAME = "zoe"
PATTERNS = {NAME: "Simulator-D*", "zz-top": "simulator-d*"}
ROUNDS = 10


class Shared:
    """The brokers of a cluster, and what was written into one of them."""

    def __init__(self) -> None:
        self.version = 1
        self.written: list[tuple[str, str]] = []
        self.objects: dict[str, dict[str, Any]] = {
            name: {
                "metadata": {
                    "name": name,
                    "uid": name,
                    "generation": 1,
                    "resourceVersion": "1",
                    "creationTimestamp": "2026-11-21T10:00:00Z",
                },
                "spec": {"servers": [pattern]},
            }
            for name, pattern in PATTERNS.items()
        }

    def write(self, who: str, name: str, status: dict[str, Any]) -> dict[str, Any]:
        """Replace a status; note who overlaps by it."""
        told = {each["type"]: each["message"] for each in status["conditions"]}
        self.written.append((who, told.get("Overlapping", "")))
        self.version += 1
        found = self.objects[name]
        found["status"] = deepcopy(status)
        found["metadata"]["resourceVersion"] = str(self.version)
        return deepcopy(found)


class Installation(Bench):
    """An operator of its own, with an account at one server, or with none."""

    def __init__(self, name: str, shared: Shared, server: str) -> None:
        super().__init__()
        self.shared, self.name = shared, name
        identity: Any = SimpleNamespace(installation=name)
        object.__setattr__(self.context, "identity", identity)
        api: Any = self.cluster
        api.apply = self._apply
        if server:
            feed(self.world, ACCOUNT, "ADDED", manifest(name, server=server))

    async def reviews(self) -> None:
        """Hear of the brokers as they are by now, and review one."""
        for each in self.shared.objects.values():
            feed(self.world, BROKER, "MODIFIED", deepcopy(each))
        await brokers.reconcile(self.context, Key("", NAME))

    async def _apply(self, _: Any, change: dict[str, Any], **__: Any) -> dict[str, Any]:
        return self.shared.write(self.name, change["metadata"]["name"], change["status"])


async def overlaps(theirs: str) -> list[tuple[str, str]]:
    """Return who wrote of whom, while two installations review a broker in turns."""
    shared = Shared()
    first = Installation("first", shared, "Simulator-Demo")
    second = Installation("second", shared, theirs)
    for _ in range(ROUNDS):
        await first.reviews()
        await second.reviews()
    return shared.written


@pytest.mark.parametrize(
    "theirs", ["", "Simulator-DropsLink"], ids=["no account", "another server"]
)
async def test_what_overlaps_is_told_once_and_stays(theirs: str) -> None:
    [(who, told)] = await overlaps(theirs)

    assert who == "first"
    assert "Simulator-Demo: zoe counts, not zz-top" in told


@pytest.mark.parametrize(
    "theirs", ["", "Simulator-DropsLink"], ids=["no account", "another server"]
)
async def test_without_one_reviewer_both_would_write_for_ever(
    theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The cause of what was seen: not the echo of an own write, which the other test has too.
    monkeypatch.setattr(brokers, "_is_anothers", lambda *_: False)

    written = await overlaps(theirs)

    assert [who for who, _ in written] == ["first", "second"] * ROUNDS
    assert len({told for _, told in written}) == 2
