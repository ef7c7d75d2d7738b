# SPDX-License-Identifier: Apache-2.0
"""Addresses are made from a slot, and no two slots touch."""

from __future__ import annotations

from itertools import combinations

import pytest

from cluster.network import Addresses, Network, free_slots, slots_by_preference


def test_no_two_slots_share_an_address() -> None:
    for one, other in combinations(slots_by_preference("any"), 2):
        assert not Addresses(one).whole.overlaps(Addresses(other).whole)


@pytest.mark.parametrize("slot", [0, 39, 63])
def test_the_networks_of_a_slot_are_apart_and_inside_of_it(slot: int) -> None:
    addresses = Addresses(slot)
    networks = [addresses.machines, addresses.pods, addresses.fake_pods, addresses.services]

    assert all(network.subnet_of(addresses.whole) for network in networks)
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))


def test_host_and_nodes_are_neighbours_on_the_bridge() -> None:
    addresses = Addresses(39)

    assert addresses.host == "10.206.0.1"
    assert [addresses.machine(0), addresses.machine(1)] == ["10.206.0.2", "10.206.0.3"]
    assert addresses.pods_of(0).subnet_of(addresses.pods)
    assert not addresses.pods_of(0).overlaps(addresses.pods_of(1))


def test_a_name_always_prefers_the_same_slot() -> None:
    assert slots_by_preference("demo") == slots_by_preference("demo")
    assert sorted(slots_by_preference("demo")) == list(range(64))


def test_slots_that_the_host_uses_for_something_else_are_not_taken() -> None:
    office = Network("10.128.0.0/14")  # the first two slots

    assert free_slots([0, 1, 2], [office]) == [2]


def test_device_names_fit_into_the_kernels_fifteen_characters() -> None:
    assert len(Addresses(63).bridge) <= 15
