# SPDX-License-Identifier: Apache-2.0
"""What several operators share: everything is known to whom it concerns, and written by one."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from mt5_operator.__main__ import main
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.kinds import ACCOUNT, BROKER, POD
from mt5_operator.names import Key
from mt5_operator.reconcile.context import World
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.feed import feed
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from mt5_operator.sharding import owns, shard_of
from operator_samples import manifest


def world(shard: int, shards: int) -> World:
    settings = Settings(shard=shard, shards=shards, broker_dry_run=True)
    api: Any = None
    return World(settings, api, Caches(), Index(lambda name: owns(settings, name)), Schedule())


@pytest.mark.parametrize("shards", range(1, 17))
@pytest.mark.parametrize("namespace", ["", "ns", "prop", "traders"])
def test_every_namespace_and_the_brokers_have_exactly_one_shard(
    shards: int, namespace: str
) -> None:
    found = [world(shard, shards).owns(namespace) for shard in range(shards)]

    assert found.count(True) == 1
    assert found[0] or namespace


def test_every_shard_knows_all_accounts_and_brokers_and_only_its_own_pods() -> None:
    meta = {"name": "demo", "uid": "b", "resourceVersion": "5"}
    meta |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
    broker = {"metadata": meta, "spec": {"servers": ["Simulator-Demo"]}}
    account = manifest()
    account["metadata"]["resourceVersion"] = "5"
    labels = {"mt5bridge.io/account": "demo"}
    place = {"namespace": "ns", "name": "demo-a-0", "uid": "p", "labels": labels}
    pod = {"metadata": place | {"resourceVersion": "5"}, "spec": {}, "status": {}}

    for shard in range(3):
        each = world(shard, 3)
        feed(each, BROKER, "ADDED", broker)
        feed(each, ACCOUNT, "ADDED", account)
        feed(each, POD, "ADDED", pod)

        found = each.directory.broker_of(Key("ns", "demo"))
        assert found is not None
        assert found.name == "demo"
        known = each.caches[POD].get(Key("ns", "demo-a-0")) is not None
        assert known == (shard == shard_of("ns", 3)) == bool(each.ours())


def test_shards_that_would_move_accounts_by_a_part_of_the_evidence_are_refused() -> None:
    with pytest.raises(ValidationError, match="BROKER_DRY_RUN"):
        Settings(shards=2)


def test_settings_that_cannot_be_used_are_named_and_no_password_with_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MT5_OPERATOR_SHARDS", "2")
    monkeypatch.setenv("MT5_OPERATOR_REDIS_URL", "redis://:s3cret@redis:6379/0")

    try:
        assert main() == 2
    finally:
        structlog.reset_defaults()

    told = capsys.readouterr().out
    assert "set MT5_OPERATOR_BROKER_DRY_RUN=true" in told
    assert "s3cret" not in told
    with pytest.raises(ValidationError) as found:
        Settings(shards=2, redis_url="redis://:s3cret@redis:6379/0")
    assert "s3cret" not in str(found.value)


def test_an_address_of_sentinels_is_refused_with_what_to_name_instead() -> None:
    with pytest.raises(ValidationError, match="leads to the primary"):
        Settings(redis_url="redis+sentinel://sentinels:26379/primary")
