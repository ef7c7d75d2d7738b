# SPDX-License-Identifier: Apache-2.0
"""What is kept of thousands of objects is small, and is what was told."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as some

from mt5_operator.cluster.cache import Store, key_of
from mt5_operator.cluster.kinds import STATEFUL_SET
from mt5_operator.cluster.packing import Packer
from mt5_operator.desired.stateful_set import stateful_set
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Manifest, account

BORN = {"generation": 1, "creationTimestamp": "2026-11-21T10:00:00Z"}


def of(number: int) -> Manifest:
    """Return the StatefulSet of one of many accounts."""
    spec = {"login": number, "server": "Simulator-Demo", "credentialsSecretRef": {"name": "mt5"}}
    meta = {"name": f"a{number}", "namespace": "team", "uid": f"u-{number}"} | BORN
    found = stateful_set(
        account({"metadata": meta, "spec": spec}), Platform.LINUX, "a", Settings(), replicas=1
    )
    return found | {"metadata": {**found["metadata"], "uid": f"s-{number}", "resourceVersion": "1"}}


@given(some.lists(some.binary(max_size=20_000), max_size=30))
def test_whatever_was_packed_comes_back(texts: list[bytes]) -> None:
    packer = Packer()
    packed = [packer.pack(text) for text in texts]

    assert [each.text() for each in packed] == texts


def test_objects_of_a_fleet_take_a_tenth_of_their_text() -> None:
    packer = Packer()
    texts = [json.dumps(of(number)).encode() for number in range(1, 101)]

    kept = sum(len(packer.pack(text).rest) for text in texts)

    assert kept * 10 < sum(map(len, texts))


def test_an_odd_object_first_does_not_make_all_others_big() -> None:
    packer = Packer()
    packer.pack(b'{"of": "another shape"}')
    texts = [json.dumps(of(number)).encode() for number in range(1, 101)]

    kept = sum(len(packer.pack(text).rest) for text in texts)

    assert kept * 10 < sum(map(len, texts))


def test_a_store_gives_back_each_object_as_its_own() -> None:
    store, fleet = Store(STATEFUL_SET), [of(number) for number in range(1, 21)]
    for manifest in fleet:
        store.feed(manifest)

    for manifest in fleet:
        found = store.get(key_of(manifest))
        assert found is not None
        assert found["spec"] == manifest["spec"]
