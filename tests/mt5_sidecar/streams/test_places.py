# SPDX-License-Identifier: Apache-2.0
"""What a client had in full is remembered until it comes back, whatever others do."""

from mt5_sidecar.streams.channels import Choice
from mt5_sidecar.streams.places import MOST_CHOICES, MOST_PLACES, Places

LITTLE, MORE = Choice(frozenset({"positions"})), Choice(frozenset({"positions", "orders"}))


def test_what_a_client_had_depends_on_what_it_had_heard() -> None:
    place = Places("pod").new("key")
    place.holds(LITTLE, since=10)
    place.holds(MORE, since=20)

    assert [place.at(seq) for seq in (9, 10, 19, 20)] == [None, LITTLE, LITTLE, MORE]


def test_what_it_gave_up_it_has_at_no_seq() -> None:
    place = Places("pod").new("key")
    place.holds(MORE, since=10)
    place.holds(MORE, since=20)

    place.keeps(LITTLE)

    assert (place.at(15), place.at(25)) == (LITTLE, LITTLE)


def test_symbols_that_it_did_not_have_are_lacking() -> None:
    one, both = frozenset({"EURUSD"}), frozenset({"EURUSD", "GBPUSD"})

    assert Choice(symbols=one).lacking(Choice(symbols=both)) == frozenset()
    assert Choice(symbols=one).lacking(Choice()) == frozenset()
    assert Choice(symbols=both).lacking(Choice(symbols=one)) == {"tick_data"}
    assert Choice().lacking(Choice(symbols=one)) == {"tick_data"}


def test_a_choice_that_changes_for_ever_takes_no_more_memory() -> None:
    place = Places("pod").new("key")
    for seq in range(100):
        place.holds(LITTLE, since=seq)

    assert len(place._held) == MOST_CHOICES


def test_a_key_that_connects_again_and_again_has_only_its_own_places_forgotten() -> None:
    places = Places("pod")
    calm, first, opened = places.new("calm"), places.new("wild"), places.new("wild")
    names = [place.epoch for place in (calm, first, opened)]
    places.leave(calm)
    places.leave(first)
    del calm, first

    for _ in range(MOST_PLACES):
        places.leave(places.new("wild"))

    found = [places.find(name) is not None for name in names]
    assert found == [True, False, True], "its own that ended first, and none that is open"
    assert places.find("another") is None
