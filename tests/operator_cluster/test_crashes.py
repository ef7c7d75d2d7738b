# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment, the operator ends where it would have ended.

`MT5_CRASH_SEEDS` says how many random runs to make; a failure names its seed.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, secret
from operator_cluster.operator_process import Operator, eventually
from operator_cluster.redis_process import RedisServer

pytestmark = pytest.mark.cluster

SEEDS = int(os.environ.get("MT5_CRASH_SEEDS", "3"))
EXPECTED = {
    "kept": ("True", "Connected", True),
    "suspended": ("False", "Suspended", False),
    "moved": ("True", "Connected", True),
    "added": ("True", "Connected", True),
}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_random_points_it_ends_in_the_same_state(
    operator: Operator, kubectl: Kubectl, redis: RedisServer, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed is the point
    steps = [
        lambda: kubectl.apply(
            secret(),
            *(
                account(n, login=i + 1)
                for i, n in enumerate(["kept", "suspended", "moved", "gone"])
            ),
        ),
        lambda: kubectl.patch("mt5account", "suspended", {"spec": {"suspend": True}}),
        lambda: kubectl.delete("mt5account", "gone", wait=False),
        lambda: redis.client.flushall(),
        lambda: kubectl.apply(account("added", login=5)),
        lambda: kubectl("delete", "pod", "moved-a-0", "--ignore-not-found", "--wait=false"),
    ]

    for step in steps:
        operator.start(wait=False)
        step()
        # Only a leader writes: a kill before it leads would prove nothing.
        eventually(operator.leads, timeout_s=20, what="the operator to lead")
        # From its first write of this step to after its last one.
        time.sleep(chance.uniform(0, 1.6))
        operator.kill()
    operator.lead()

    eventually(lambda: _state(kubectl, redis) == EXPECTED, timeout_s=20, what=f"seed {seed}")
    # The garbage collector learns of a new CRD, such as this session's, within 30 s.
    left = ["added-a", "kept-a", "moved-a", "suspended-a"]
    eventually(lambda: _stateful_sets(kubectl) == left, timeout_s=45, what="only our StatefulSets")
    assert redis.client.get("account:4:container") is None


def _stateful_sets(kubectl: Kubectl) -> list[str]:
    return sorted(item["metadata"]["name"] for item in kubectl.list("statefulset"))


def _state(kubectl: Kubectl, redis: RedisServer) -> dict[str, Any]:
    pods = {pod["metadata"]["name"]: pod for pod in kubectl.list("pod")}
    routes = redis.routes()
    found: dict[str, Any] = {}
    for item in kubectl.list("mt5account"):
        name, status = item["metadata"]["name"], item.get("status", {})
        ready = [c for c in status.get("conditions", []) if c["type"] == "Ready"] or [{}]
        route = routes.pop(status.get("accountId", ""), {"address": ""})
        pod = pods.get(f"{name}-a-0", {}).get("status", {})
        right = bool(route["address"]) and route["address"] == f"{pod.get('podIP')}:8080"
        found[name] = (ready[0].get("status"), ready[0].get("reason"), right)
    return found | ({"routes of nobody": routes} if routes else {})
