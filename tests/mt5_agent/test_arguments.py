# SPDX-License-Identifier: Apache-2.0
"""The package's argument traps (MT5.md 3.5) cannot be reached."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt5_agent.arguments import BadArguments, checked, trade_request
from mt5_agent.protocol import TradeRequest


def test_whole_numbers_become_floats_where_the_package_insists():
    request = trade_request({"action": 1, "volume": 1, "price": 2, "magic": 3})

    assert [type(value) for value in request.values()] == [int, float, float, int]


@pytest.mark.parametrize(
    "request_",
    [
        {"action": 1, "stoplos": 1.0},
        {"symbol": "EURUSD"},
        {"action": 1, "comment": "x" * 30},
        {"action": 1, "symbol": "x" * 30},
        {"action": 1, "volume": "0.1"},
        {"action": 1, "volume": float("nan")},
        {"action": 1, "volume": True},
        {"action": 1, "magic": -1},
        {"action": 1, "magic": 2**64},
        {"action": 1, "magic": 1.0},
        {"action": True},
    ],
)
def test_a_request_that_would_be_misread_is_refused(request_):
    with pytest.raises(BadArguments):
        checked("order_send", (request_,), {})


@pytest.mark.parametrize(
    ("call", "args", "kwargs"),
    [
        ("order_send", (), {"action": 1}),
        ("order_send", ({"action": 1}, 2), {}),
        ("positions_get", (), {"symbl": "EURUSD"}),
        ("positions_get", (), {"ticket": "1"}),
        ("symbol_info", ("EURUSD",), {"symbol": "EURUSD"}),
        ("history_deals_get", (1,), {}),
        ("history_deals_get", (1, 2), {"position": 5}),
        ("history_deals_get", (1.5, 2), {}),
        ("history_deals_get", (0, 2**32), {}),
    ],
)
def test_a_call_that_would_be_misread_is_refused(call, args, kwargs):
    with pytest.raises(BadArguments):
        checked(call, args, kwargs)


@settings(deadline=None)  # two cores, many processes
@given(
    st.dictionaries(
        st.sampled_from([*TradeRequest.__struct_fields__, "typo", "sl "]),
        st.one_of(st.integers(), st.floats(), st.text(max_size=40), st.booleans(), st.none()),
    )
)
def test_what_is_let_through_has_the_types_that_the_package_takes(given_):
    try:
        request = trade_request(given_)
    except BadArguments:
        return

    kinds = TradeRequest.__annotations__
    assert all(type(value) is kinds[name] for name, value in request.items())
    assert request.keys() == given_.keys()
