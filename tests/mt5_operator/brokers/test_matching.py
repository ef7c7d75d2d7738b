# SPDX-License-Identifier: Apache-2.0
"""Which broker a server belongs to, and what the brokers that are made are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_operator import names
from mt5_operator.brokers.directory import Client, Directory
from mt5_operator.brokers.matching import Broker, match
from mt5_operator.names import Key
from mt5_operator.spec.broker import Verdict


def broker(name: str, *patterns: str, created: str = "1", **fields: object) -> Broker:
    return Broker(name, f"uid-{name}", created, patterns, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        ("ICMarketsSC-Demo02", "demo"),
        ("icmarketssc-demo02", "demo"),
        ("ICMarketsSC-Live01", "ic"),
        ("ICMarketsSC-Live02", "live2"),
        ("Other", "all"),
    ],
)
def test_the_most_specific_pattern_wins(server: str, wanted: str) -> None:
    brokers = [
        broker("all", "*"),
        broker("ic", "ICMarkets*"),
        broker("demo", "Nobody", "ICMarkets*-Demo*"),
        broker("live2", "ICMarketsSC-Live02"),
    ]

    found = match(server, brokers)

    assert found is not None
    assert found.broker.name == wanted
    assert found.tied == ()


def test_of_equals_the_older_wins_then_the_name_and_the_rest_is_told() -> None:
    brokers = [broker("b", "X*", created="2"), broker("c", "x*"), broker("a", "X*", created="2")]

    found = match("XY", brokers)

    assert found is not None
    assert found.broker.name == "c"
    assert found.tied == ("a", "b")


def test_nothing_but_the_asterisk_is_special() -> None:
    assert match("A.B", [broker("b", "A.B")])
    assert match("AxB", [broker("b", "A.B")]) is None
    assert match("prefix A.B", [broker("b", "A.B")]) is None


@given(st.text(min_size=1, max_size=63), st.text(min_size=1, max_size=63))
def test_made_names_are_valid_and_never_shared(one: str, other: str) -> None:
    for server in (one, other):
        name = names.broker(server)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
        assert names.broker(server, taken={name}) != name or re.search(
            "-[0-9a-f]{8}$|^[0-9a-f]{8}$", name
        )
    same = one.casefold() == other.casefold()
    assert (names.broker(one) == names.broker(other)) == same


def test_a_plain_name_is_kept() -> None:
    assert names.broker("Simulator-WineBlocked") == "simulator-wineblocked"
    assert names.broker("MetaQuotes Demo!").startswith("metaquotes-demo-")


def directory() -> Directory:
    found = Directory()
    found.keep_client(Key("ns", "one"), Client("X-Demo", auto=True))
    found.keep_client(Key("ns", "two"), Client("X-Live", auto=True))
    found.keep_client(Key("ns", "pinned"), Client("Y", auto=False))
    return found


def test_only_accounts_that_leave_it_to_us_need_a_broker() -> None:
    found = directory()
    assert found.unknown_servers() == ["X-Demo", "X-Live"]

    found.keep_broker(broker("x", "X-*"))

    assert found.unknown_servers() == []
    assert sorted(found.clients_of("x")) == [Key("ns", "one"), Key("ns", "two")]


def test_a_changed_broker_concerns_the_accounts_it_had_and_has() -> None:
    found = directory()
    found.keep_broker(broker("x", "X-Demo"))
    assert found.broker_of(Key("ns", "two")) is None
    found.broker_of(Key("ns", "one"))

    assert found.keep_broker(broker("x", "X-Live")) == {Key("ns", "one"), Key("ns", "two")}
    assert found.keep_broker(broker("x", "X-Live")) == set()
    verdict = broker("x", "X-Live", verdict=Verdict.REQUIRES_WINDOWS)
    assert found.keep_broker(verdict) == {Key("ns", "two")}
    assert found.broker_of(Key("ns", "two")) == verdict
    assert found.drop_broker("x") == {Key("ns", "two")}
    assert found.broker_of(Key("ns", "two")) is None
    assert found.drop_broker("x") == set()


def test_an_account_that_goes_takes_its_server_along() -> None:
    found = directory()
    found.keep_broker(broker("x", "X-*"))

    found.drop_client(Key("ns", "one"))

    assert found.clients_of("x") == [Key("ns", "two")]
    assert found.client(Key("ns", "one")) is None


def test_ties_are_told_to_all_who_take_part() -> None:
    found = directory()
    for name in ("x", "y"):
        found.keep_broker(broker(name, "X-*"))

    assert [server for server, _ in found.ties("x")] == ["X-Demo", "X-Live"]
    assert found.ties("x") == found.ties("y")
    assert found.ties("z") == []


def test_a_tie_stays_told_while_the_brokers_are_written_and_accounts_come_and_go() -> None:
    found, patterns = directory(), {"x": "X-*", "y": "x-*"}
    for name, pattern in patterns.items():
        found.keep_broker(broker(name, pattern))

    def told(name: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(server, match.tied) for server, match in found.ties(name)]

    before = told("x")
    assert before
    for verdict in Verdict:
        for name, pattern in patterns.items():
            found.keep_broker(broker(name, pattern, verdict=verdict))
            assert told("x") == told("y") == before
    found.keep_client(Key("ns", "three"), Client("X-Demo", auto=False))
    found.drop_client(Key("ns", "three"))
    assert told("x") == told("y") == before
