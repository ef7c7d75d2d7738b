# SPDX-License-Identifier: Apache-2.0
"""Which lots that a terminal shows of a netting account are of before the last trades."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mt5_sidecar.orders import Ask, NewOrder
from mt5_sidecar.orders.netting import HELD, Netting
from mt5_sidecar.orders.outcomes import UNKNOWN, Verdict
from mt5_sidecar.orders.records import draft


def done(lots: str) -> Verdict:
    return Verdict(outcome="Done", evidence="answer", volume=Decimal(lots))


class Desk:
    """Trades EURUSD; positive lots are bought, and each trade is planned on what was shown."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.netting = Netting(kept_ms=15_000, clock=lambda: self.now_ms)

    def trade(self, lots: str, verdict: Verdict, *, shown: str, took_ms: int = 0) -> None:
        volume, side = abs(Decimal(lots)), "sell" if lots.startswith("-") else "buy"
        body = NewOrder(symbol="EURUSD", side=side, type="market", volume=volume)  # type: ignore[arg-type]
        request = {"symbol": "EURUSD", "type": int(side == "sell"), "volume": float(volume)}
        record = msgspec.structs.replace(
            draft("1", "k", Ask("order", body)), request=request, context={HELD: float(shown)}
        )
        began_ms, self.now_ms = self.now_ms, self.now_ms + took_ms
        self.netting.made(record, verdict, began_ms=began_ms)

    def believes(self, lots: str) -> bool:
        held: Any = SimpleNamespace(
            symbol="EURUSD", volume=abs(float(lots)), type=int(lots.startswith("-"))
        )
        return self.netting.shown(held)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_was_left_is_not_believed_and_all_else_is(desk: Desk) -> None:
    desk.trade("-0.2", done("0.2"), shown="0.3")

    assert not desk.believes("0.3")
    assert desk.believes("0.1")
    assert desk.believes("0.5")  # others have traded


def test_an_amount_that_was_held_before_is_believed_where_it_is_held_for_certain(
    desk: Desk,
) -> None:
    desk.trade("0.1", done("0.1"), shown="0.1")
    desk.trade("-0.1", done("0.1"), shown="0.2")

    assert desk.believes("0.1")
    assert not desk.believes("0.2")


def test_an_old_amount_that_others_may_have_traded_back_makes_what_is_held_uncertain(
    desk: Desk,
) -> None:
    """R1, seed 400078: -0.04 was shown, and true, and was taken for what was before -0.05."""
    desk.trade("-0.01", done("0.01"), shown="-0.04")
    desk.trade("0.01", done("0.01"), shown="-0.04")

    assert not desk.believes("-0.04")
    assert not desk.believes("-0.05")
    assert desk.believes("-0.03")


def test_a_trade_that_took_long_was_planned_on_what_was_known_when_it_was_sent(desk: Desk) -> None:
    """R1, seed 400421: the one before was forgotten while the broker was at it."""
    desk.trade("0.03", UNKNOWN, shown="0.02")
    desk.now_ms += 10_000
    desk.trade("-0.01", done("0.01"), shown="0.02", took_ms=10_000)

    assert not desk.believes("0.05")
    assert not desk.believes("0.02")


def test_after_an_unknown_trade_none_of_what_it_may_have_left_behind_is_believed(
    desk: Desk,
) -> None:
    """R1, seed 304925: what is held was reckoned as if the unknown trade had not been made."""
    desk.trade("-0.01", UNKNOWN, shown="0.1")
    desk.trade("0.02", done("0.02"), shown="0.1")
    desk.trade("-0.02", done("0.02"), shown="0.1")

    assert not desk.believes("0.1")  # 0.09 may be held
    assert not desk.believes("0.12")
    assert desk.believes("0.2")


def test_an_order_may_be_filled_by_any_part(desk: Desk) -> None:
    desk.trade("0.05", UNKNOWN, shown="0.1")
    desk.trade("-0.02", done("0.02"), shown="0.1")

    assert not any(desk.believes(lots) for lots in ("0.1", "0.12", "0.15"))
    assert desk.believes("0.08")


def test_what_was_taken_may_be_filled_further_or_not_at_all(desk: Desk) -> None:
    taken = Verdict(outcome="Placed", evidence="answer", volume=Decimal("0.3"))
    desk.trade("0.5", taken, shown="-0.1")
    desk.trade("-0.2", done("0.2"), shown="-0.1")

    assert not any(desk.believes(lots) for lots in ("-0.1", "0.2", "0.4"))
    assert desk.believes("-0.3")


def test_what_is_shown_may_be_older_than_the_last_two_trades(desk: Desk) -> None:
    desk.trade("0.3", done("0.3"), shown="0.5")
    desk.trade("-0.7", done("0.7"), shown="0.5")
    desk.trade("0.1", done("0.1"), shown="0.5")

    assert not desk.believes("0.8")
    assert desk.believes("0.9")


def test_what_settles_is_believed_again(desk: Desk) -> None:
    desk.trade("0.05", UNKNOWN, shown="0.1")
    desk.now_ms = 14_999
    assert not desk.believes("0.1")

    desk.now_ms = 15_000
    assert desk.believes("0.1")
