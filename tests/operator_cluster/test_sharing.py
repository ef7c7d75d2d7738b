# SPDX-License-Identifier: Apache-2.0
"""Several operators share the namespaces: nothing is owned twice, nothing by nobody."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from mt5_operator.sharding import shard_of
from operator_cluster.api_proxy import ApiProxy
from operator_cluster.manifests import Manifest, account, condition, secret
from operator_cluster.operator_process import (
    QUICK_LEASE,
    MakeOperator,
    Operator,
    eventually,
    steady,
)
from operator_cluster.redis_process import RedisServer

pytestmark = pytest.mark.cluster

SHARDS = 3


@pytest.fixture
def spaces(plane: ControlPlane) -> Iterator[list[Kubectl]]:
    """Return seven namespaces of all three shards, each with a Secret."""
    found, names = [], dict.fromkeys(range(SHARDS), 0)
    while len(found) < 7 or not all(names.values()):
        name = f"share-{uuid.uuid4().hex[:8]}"
        names[shard_of(name, SHARDS)] += 1
        plane.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        found.append(plane.kubectl.within(name))
        found[-1].apply(secret())
    yield found
    for space in found:
        held = [item["metadata"]["name"] for item in space.list("mt5accounts")]
        if held:
            patch = '{"metadata": {"finalizers": null}}'
            space("patch", "mt5account", *held, "--type=merge", "--patch", patch)
        plane.kubectl("delete", "namespace", space.namespace, "--wait=false")


@pytest.fixture
def proxies(plane: ControlPlane, tmp_path: Path) -> Iterator[list[ApiProxy]]:
    """Return a proxy for each shard: what it wrote is read there, not in its own words."""
    found = []
    for shard in range(SHARDS):
        (tmp_path / str(shard)).mkdir()
        found.append(ApiProxy(plane.kubeconfig, tmp_path / str(shard)))
        found[-1].start()
    yield found
    for proxy in found:
        proxy.stop()


@pytest.fixture
def replicas(
    proxies: list[ApiProxy],
    kubectl: Kubectl,
    spaces: list[Kubectl],
    redis: RedisServer,
    make_operator: MakeOperator,
) -> list[list[Operator]]:
    """Return two replicas of each shard, not started."""
    everywhere = json.dumps([space.namespace for space in spaces])
    return [
        [
            make_operator(
                proxies[shard].kubeconfig,
                name=f"operator-{shard}-{replica}",
                namespaces=everywhere,
                shard=shard,
                shards=SHARDS,
                broker_dry_run="true",
                route_shards=2,
                **QUICK_LEASE,
            )
            for replica in range(2)
        ]
        for shard in range(SHARDS)
    ]


def test_every_object_has_one_owner_and_every_route_reaches_the_routers(
    proxies: list[ApiProxy],
    kubectl: Kubectl,
    spaces: list[Kubectl],
    replicas: list[list[Operator]],
    redis: RedisServer,
) -> None:
    for pair in replicas:
        pair[0].lead()
    for number, space in enumerate(spaces):
        space.apply(*(account(f"a{n}", login=100 * number + n + 1) for n in range(3)))
    count = 3 * len(spaces)
    eventually(lambda: _ready(spaces) == count, timeout_s=60)

    # One Lease a shard, and one owner an object.
    leases = {lease["metadata"]["name"] for lease in kubectl.list("lease")}
    assert leases == {f"mt5-bridge-operator-{shard}" for shard in range(SHARDS)}
    _nothing_is_owned_twice(proxies, spaces)
    assert len(redis.routes()) == count
    # ConfigMaps follow with the next flush.
    eventually(lambda: _config_map_routes(kubectl) == set(redis.routes()), timeout_s=15)

    # A flushed Redis is complete only when every shard has written its part.
    redis.client.flushall()
    eventually(lambda: redis.client.get("mt5:routes:complete"), timeout_s=20)
    assert len(redis.routes()) == count

    # Each shard fails over by itself, and writes nothing in others' namespaces.
    replicas[1][1].start()
    replicas[1][0].kill()
    eventually(replicas[1][1].leads, timeout_s=15)
    spaces[0].apply(account("late", login=9000))
    eventually(lambda: _ready(spaces) == count + 1, timeout_s=30)
    eventually(lambda: len(redis.routes()) == count + 1, timeout_s=10)
    assert steady(lambda: len(redis.routes()), for_s=3)
    _nothing_is_owned_twice(proxies, spaces)


def test_an_account_id_is_unique_over_all_shards(
    spaces: list[Kubectl], replicas: list[list[Operator]], redis: RedisServer
) -> None:
    for pair in replicas:
        pair[0].lead()
    first = spaces[0]
    other = next(s for s in spaces if _shard(s) != _shard(first))
    first.apply(account("first"))
    eventually(lambda: _reason(first, "first") == "Connected", timeout_s=20)

    other.apply(account("second"))

    eventually(lambda: _reason(other, "second") == "AccountIdConflict", timeout_s=20)
    first.delete("mt5account", "first")
    eventually(lambda: "is kept for one there" in _message(other, "second"), timeout_s=30)
    assert redis.routes() == {}
    first.apply(account("again"))
    eventually(lambda: _reason(first, "again") == "Connected", timeout_s=30)
    pod = first.get("pod", "again-a-0") or {}
    eventually(lambda: redis.routes()["10001"]["uid"] == pod["metadata"]["uid"], timeout_s=10)
    assert _reason(other, "second") == "AccountIdConflict"
    assert other.get("pod", "second-a-0") is None


def _shard(space: Kubectl) -> int:
    return shard_of(space.namespace, SHARDS)


def _reason(space: Kubectl, name: str) -> str:
    return str(condition(space.get("mt5account", name)).get("reason", ""))


def _message(space: Kubectl, name: str) -> str:
    return str(condition(space.get("mt5account", name)).get("message", ""))


def _ready(spaces: list[Kubectl]) -> int:
    found = [item for space in spaces for item in space.list("mt5accounts")]
    return sum(condition(item).get("status") == "True" for item in found)


def _nothing_is_owned_twice(proxies: list[ApiProxy], spaces: list[Kubectl]) -> None:
    """Compare what each shard's replicas wrote: to each namespace one of them, and no other."""
    names = {space.namespace for space in spaces}
    for shard, proxy in enumerate(proxies):
        paths = [path for _, path in list(proxy.writes)]
        found = [re.search(r"/namespaces/(share-[0-9a-f]+)/", path) for path in paths]
        written = {match.group(1) for match in found if match}
        assert written == {name for name in names if shard_of(name, SHARDS) == shard}


def _config_map_routes(kubectl: Kubectl) -> set[str]:
    def read() -> list[Manifest]:
        maps = kubectl.list("configmap")
        return [m for m in maps if m["metadata"]["name"].startswith("mt5-routes-")]

    eventually(lambda: len(read()) == 2 * SHARDS, timeout_s=10)
    tables = [json.loads(m["data"]["routes.json"]) for m in read()]
    assert {table["shards"] for table in tables} == {2 * SHARDS}
    assert sorted(table["shard"] for table in tables) == list(range(2 * SHARDS))
    return {name for table in tables for name in table["routes"]}
