# SPDX-License-Identifier: Apache-2.0
"""What is kept of a position's text must never show: whatever changes, the bodies are those of the
one encoder."""

import math

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mt5_agent.protocol import Position
from mt5_sidecar.domain import views
from mt5_sidecar.domain.contract import Contract
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.streams.position_bodies import MOVING, PositionBodies

FIELDS = Position.__annotations__
TEXTS = st.sampled_from(
    ["", "EURUSD", '"price_current":1,', '","profit":2,"', "100 % %s %%", "é\n"]
)
NUMBERS = (
    st.sampled_from(
        [0.0, -0.0, 1e-7, -1e-7, 0.5, 1.085, math.inf, -math.inf, math.nan, 1e60, 1e308]
    )
    | st.floats()
)
VALUES = {int: st.integers(-1, 2) | st.integers(0, 1 << 42), float: NUMBERS, str: TEXTS}
SEEN = st.fixed_dictionaries({name: VALUES[kind] for name, kind in FIELDS.items()})
DIGITS = st.none() | st.integers(-1, 9)
# What is different at the next look: of a position that another one follows, mostly little is.
MOVED = st.fixed_dictionaries({}, optional={name: VALUES[kind] for name, kind in FIELDS.items()})


def told(positions, contract, money_digits, zone_s):
    """Return what the encoder alone makes of them."""
    return {
        str(p.ticket): encode(views.position(p, contract, money_digits=money_digits, zone_s=zone_s))
        for p in positions
    }


@given(
    SEEN,
    st.lists(st.tuples(MOVED, DIGITS, DIGITS, st.integers(-1, 8), st.none() | st.just(7200))),
)
@example({name: kind() for name, kind in FIELDS.items()}, [({}, 5, 2, 2, None)] * 2)
def test_each_look_shows_what_the_encoder_would(first, looks) -> None:
    bodies, seen = PositionBodies(), Position(**first)
    for moved, price_digits, volume_digits, money_digits, zone_s in looks:
        seen = msgspec.structs.replace(seen, **moved)
        contract = Contract(price_digits, volume_digits)

        made = bodies.bodies(
            [seen], lambda _, found=contract: found, money_digits=money_digits, zone_s=zone_s
        )

        assert made == told([seen], contract, money_digits, zone_s)


def test_each_field_that_changes_alone_shows() -> None:
    contract, bodies = Contract(5, 2), PositionBodies()
    blank = Position(**{name: kind() for name, kind in FIELDS.items()})
    others = {int: 1_795_255_200_123, float: 1.5, str: "x"}
    for name, kind in FIELDS.items():
        for seen in (blank, msgspec.structs.replace(blank, **{name: others[kind]})):
            made = bodies.bodies([seen], lambda _: contract, money_digits=2, zone_s=0)

            assert made == told([seen], contract, 2, 0), name


@pytest.mark.parametrize(
    "other",
    [(Contract(3, 2), 2, 0), (Contract(5, 1), 2, 0), (Contract(5, 2), 0, 0)]
    + [(Contract(5, 2), 2, zone_s) for zone_s in (7200, None)],
)
def test_what_the_same_position_is_written_by_shows_too(other: tuple[Contract, int, int]) -> None:
    bodies, first = PositionBodies(), (Contract(5, 2), 2, 0)
    values = {int: 1_795_255_200_123, float: 1.5, str: "x"}
    seen = Position(**{name: values[kind] for name, kind in FIELDS.items()})

    for contract, money_digits, zone_s in (first, other, first):
        made = bodies.bodies(
            [seen], lambda _, found=contract: found, money_digits=money_digits, zone_s=zone_s
        )

        assert made == told([seen], contract, money_digits, zone_s)
    assert told([seen], *other) != told([seen], *first)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", MOVING)
def test_what_is_no_number_is_null(name: str, value: float) -> None:
    bodies = PositionBodies()
    blank = Position(**{name: kind() for name, kind in FIELDS.items()})

    for seen in (blank, msgspec.structs.replace(blank, **{name: value})):
        made = bodies.bodies([seen], lambda _: Contract(5, 2), money_digits=2, zone_s=0)

    assert b'"%b":null' % name.encode() in made["0"]


def test_what_is_open_no_more_is_not_kept() -> None:
    contract, bodies = Contract(5, 2), PositionBodies()
    blank = Position(**{name: kind() for name, kind in FIELDS.items()})
    for ticket in range(100):
        seen = msgspec.structs.replace(blank, ticket=ticket)
        bodies.bodies([seen], lambda _: contract, money_digits=2, zone_s=0)

    assert list(bodies._kept) == [99]


def test_what_moves_stands_in_the_order_of_the_view() -> None:
    names = views.PositionView.__struct_fields__

    assert [name for name in names if name in MOVING] == list(MOVING)
