# SPDX-License-Identifier: Apache-2.0
from typing import Any

import msgspec
import pytest
from account_records import ACCOUNT, tick

from mt5_sidecar.domain.plausible import account_is_plausible, ticks_are_plausible


def test_the_wanted_account_is_plausible() -> None:
    assert account_is_plausible(ACCOUNT, login=ACCOUNT.login)


@pytest.mark.parametrize("wrong", [{"login": 2}, {"currency": ""}, {"equity": float("nan")}])
def test_another_account_or_nonsense_is_not(wrong: dict[str, Any]) -> None:
    account = msgspec.structs.replace(ACCOUNT, **wrong)

    assert not account_is_plausible(account, login=ACCOUNT.login)


@pytest.mark.parametrize(
    ("bid", "ask", "plausible"),
    [
        (1.1, 1.2, True),
        (1.1, 1.1, True),
        (0.0, 1.1, True),  # an exchange shows one side
        (1.2, 1.1, False),
        (-1.2, 1.1, False),
        (float("inf"), 1.1, False),
    ],
)
def test_ticks_have_an_ask_above_their_bid(bid: float, ask: float, *, plausible: bool) -> None:
    assert ticks_are_plausible({"EURUSD": tick(bid, ask)}) is plausible
