# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from order_world.records import made, symbol_info

from mt5_agent.protocol import Order, Position
from mt5_sidecar.orders import Ask, CloseBy, ClosePosition, ModifyOrder, ModifyPosition, NewOrder
from mt5_sidecar.orders.errors import BadBody, BadTrade, BrokenLimit, BrokerTimeUnknown, NoPrice
from mt5_sidecar.orders.expirations import expiration
from mt5_sidecar.orders.planning.new_order import plan_order
from mt5_sidecar.orders.planning.position import plan_close, plan_close_by, plan_modify_position
from mt5_sidecar.orders.planning.terms import Terms
from mt5_sidecar.orders.planning.waiting_order import plan_cancel, plan_modify_order
from mt5_sidecar.orders.records import MtRequest, draft
from mt5_sidecar.orders.symbols import Symbol, symbol

D = Decimal
EURUSD = symbol(symbol_info())
NOW_S = 1_795_000_000
TERMS = Terms(hedging=True, utc_offset_s=7200, deviation_points=10, now_s=NOW_S)
LONG = made(Position, ticket=7, type=0, symbol="EURUSD", volume=0.3, sl=1.0, tp=1.2)
SHORT = made(Position, ticket=8, type=1, symbol="EURUSD", volume=0.2)
WAITING = made(
    Order, ticket=9, type=2, symbol="EURUSD", price_open=1.05, sl=1.0, tp=1.3, type_time=0
)


# Limit-down: everybody sells, and nobody buys.
NO_BUYERS = replace(EURUSD, execution=3, bid=D(0))


def planned(*, on: Symbol = EURUSD, **fields: Any) -> MtRequest:
    usual: dict[str, Any] = {
        "symbol": "EURUSD", "side": "buy", "type": "market", "volume": D("0.1"),
    }  # fmt: skip
    body = NewOrder(**{**usual, **fields})
    return plan_order(draft("1", "k", Ask("order", body)), body, on, TERMS).request


def test_a_market_order_goes_at_the_market_with_token_and_magic() -> None:
    sent = planned(sl=D("1.05"), tp=D("1.2"))

    assert sent["action"] == 1
    assert (sent["type"], sent["price"], sent["volume"]) == (0, 1.1001, 0.1)
    assert (sent["sl"], sent["tp"], sent["type_filling"]) == (1.05, 1.2, 0)
    assert str(sent["comment"]).startswith("mt5b-")
    assert int(sent["magic"]) >= 2**52
    assert len(sent) == 17


def test_every_number_has_the_type_that_the_package_insists_on() -> None:
    sent = planned(volume=D(1), sl=D(1), deviation=5)

    assert {name for name, value in sent.items() if type(value) is float} == {
        "volume", "price", "stoplimit", "sl", "tp",
    }  # fmt: skip
    assert {name for name, value in sent.items() if type(value) is str} == {"symbol", "comment"}


def test_the_callers_magic_is_kept_and_its_comment_is_not_sent() -> None:
    sent = planned(magic=42, comment="my strategy")

    assert sent["magic"] == 42
    assert "strategy" not in str(sent["comment"])


def test_a_book_with_one_side_takes_what_needs_no_other() -> None:
    assert NO_BUYERS.has_price
    assert not replace(EURUSD, bid=D(0)).has_price, "its first price is still to come"
    assert planned(on=NO_BUYERS, sl=D("1.05"))["price"] == 1.1001
    assert planned(on=NO_BUYERS, side="sell", type="limit", price=D("1.05"))["price"] == 1.05
    assert planned(on=NO_BUYERS, side="sell", type="stop", price=D("1.05"))["price"] == 1.05
    with pytest.raises(NoPrice):
        planned(on=NO_BUYERS, side="sell")


def test_a_book_with_one_side_closes_what_it_can() -> None:
    body = ClosePosition()
    long, short = (draft("1", "k", Ask("close_position", body, n)) for n in (7, 8))

    assert plan_close(short, body, SHORT, NO_BUYERS, TERMS).request["price"] == 1.1001
    with pytest.raises(NoPrice):
        plan_close(long, body, LONG, NO_BUYERS, TERMS)


def test_a_stop_limit_order_has_a_trigger_and_a_limit() -> None:
    sent = planned(
        type="stop_limit", price=D("1.2"), stop_limit_price=D("1.19"), sl=D("1.1"), tp=D("1.3")
    )

    assert (sent["action"], sent["type"]) == (5, 6)
    assert (sent["price"], sent["stoplimit"]) == (1.2, 1.19)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "limit"},
        {"type": "stop_limit", "price": D("1.2")},
        {"type": "limit", "price": D("1.05"), "stop_limit_price": D("1.04")},
        {"expiration": "day"},
        {"type": "limit", "price": D("1.05"), "expiration": "tomorrow"},
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadBody):
        planned(**fields)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"volume": D("0.001")}, "volume_min"),
        ({"sl": D("1.2")}, "stops_level"),
        ({"sl": D("1.000001")}, "tick_size"),
        ({"type": "limit", "price": D("1.2")}, "stops_level"),
        ({"type": "stop_limit", "price": D("1.2"), "stop_limit_price": D("1.3")},
         "stop_limit_price"),
        ({"filling": "return"}, "filling_mode"),
    ],
)  # fmt: skip
def test_what_the_symbol_does_not_take_names_the_limit(fields: dict[str, Any], limit: str) -> None:
    with pytest.raises(BrokenLimit) as refused:
        planned(**fields)

    assert refused.value.limit == limit
    assert refused.value.retcode


@pytest.mark.parametrize(
    ("bit", "fields"),
    [
        (1, {}),
        (2, {"type": "limit", "price": D("1.05")}),
        (16, {"sl": D("1.05")}),
        (32, {"tp": D("1.2")}),
    ],
)
def test_a_kind_of_order_whose_bit_is_missing_is_refused(bit: int, fields: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": D(1)}
    body = NewOrder(**{**usual, **fields})
    without = replace(EURUSD, order_mode=127 & ~bit)

    with pytest.raises(BrokenLimit, match=r"^order_mode"):
        plan_order(draft("1", "k", Ask("order", body)), body, without, TERMS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, (0, 0)),
        ("gtc", (0, 0)),
        ("day", (1, 0)),
        ("2026-11-30", (3, 1_795_996_800)),
        ("2026-11-30T12:00:00Z", (2, 1_796_040_000 + 7200)),
        ("2026-11-30T14:00:00+02:00", (2, 1_796_040_000 + 7200)),
    ],
)
def test_an_expiration_is_put_on_the_brokers_clock(
    text: str | None, found: tuple[int, int]
) -> None:
    assert expiration(text, utc_offset_s=7200, now_s=NOW_S) == found


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "2026-11-30T12:00:00", "2099-01-01"])
def test_an_expiration_that_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(BadBody):
        expiration(text, utc_offset_s=0, now_s=NOW_S)


def test_a_moment_waits_until_the_brokers_clock_is_known() -> None:
    with pytest.raises(BrokerTimeUnknown):
        expiration("2026-11-30T12:00:00Z", utc_offset_s=None, now_s=NOW_S)


@pytest.mark.parametrize(
    ("text", "utc_offset_s", "now_s", "over"),
    [
        ("2026-11-30T12:00:00Z", 7200, 1_796_040_000 - 1, False),
        ("2026-11-30T12:00:00Z", 7200, 1_796_040_000, True),
        ("2026-11-30", 7200, 1_795_996_800 + 86_400 - 7200 - 1, False),
        ("2026-11-30", 7200, 1_795_996_800 + 86_400 - 7200, True),
        ("2026-11-30", None, 1_795_996_800 + 86_400 + 12 * 3600 - 1, False),
        ("2026-11-30", None, 1_795_996_800 + 86_400 + 12 * 3600, True),
    ],
)
def test_an_expiration_that_is_over_is_refused_here(
    text: str, utc_offset_s: int | None, now_s: int, *, over: bool
) -> None:
    if not over:
        assert expiration(text, utc_offset_s=utc_offset_s, now_s=now_s)
        return
    with pytest.raises(BrokenLimit) as refused:
        expiration(text, utc_offset_s=utc_offset_s, now_s=now_s)
    assert (refused.value.extra["limit"], refused.value.extra["retcode"]) == ("expiration", 10022)


def test_closing_names_the_position_and_trades_the_other_way() -> None:
    body = ClosePosition(volume=D("0.1"))

    sent = plan_close(draft("1", "k", Ask("close_position", body, 7)), body, LONG, EURUSD, TERMS)

    assert (sent.request["action"], sent.request["position"], sent.request["type"]) == (1, 7, 1)
    assert (sent.request["volume"], sent.request["price"]) == (0.1, 1.1)


def test_close_by_takes_opposite_positions_of_a_hedging_account() -> None:
    body = CloseBy(position_by=8)
    record = draft("1", "k", Ask("close_by", body, 7))

    sent = plan_close_by(record, body, (LONG, SHORT), EURUSD, TERMS).request
    assert (sent["action"], sent["position"], sent["position_by"]) == (10, 7, 8)

    with pytest.raises(BadTrade, match="opposite"):
        plan_close_by(record, body, (LONG, LONG), EURUSD, TERMS)
    elsewhere = msgspec.structs.replace(SHORT, symbol="GBPUSD")
    with pytest.raises(BadTrade, match="one symbol"):
        plan_close_by(record, body, (LONG, elsewhere), EURUSD, TERMS)
    with pytest.raises(BadTrade, match="hedging"):
        plan_close_by(record, body, (LONG, SHORT), EURUSD, replace(TERMS, hedging=False))


def test_a_stop_that_is_not_named_stays_and_null_removes_it() -> None:
    sent = plan_modify_position(ModifyPosition(tp=None), LONG, EURUSD, TERMS)

    assert (sent.request["sl"], sent.request["tp"]) == (1.0, 0.0)
    assert (sent.context["sl"], sent.context["tp"]) == (1.0, 1.2)


def test_a_waiting_order_keeps_what_is_not_named() -> None:
    sent = plan_modify_order(ModifyOrder(price=D("1.06")), WAITING, EURUSD, TERMS).request

    assert (sent["action"], sent["order"], sent["price"]) == (7, 9, 1.06)
    assert (sent["sl"], sent["tp"], sent["type_time"]) == (1.0, 1.3, 0)


def test_a_frozen_order_can_be_neither_moved_nor_removed() -> None:
    icy = replace(EURUSD, freeze_level=10_000)

    with pytest.raises(BrokenLimit, match=r"^freeze_level"):
        plan_cancel(WAITING, icy, TERMS)
    with pytest.raises(BrokenLimit, match=r"^freeze_level"):
        plan_modify_order(ModifyOrder(price=D("1.04")), WAITING, icy, TERMS)


def test_a_limit_price_that_the_broker_would_pass_over_is_refused() -> None:
    with pytest.raises(BadBody, match="stop_limit_price"):
        plan_modify_order(ModifyOrder(stop_limit_price=D("1.06")), WAITING, EURUSD, TERMS)


def test_a_waiting_order_keeps_a_price() -> None:
    with pytest.raises(BadBody, match="price"):
        plan_modify_order(ModifyOrder(price=D(0)), WAITING, EURUSD, TERMS)
