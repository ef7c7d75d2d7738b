# SPDX-License-Identifier: Apache-2.0
"""The pretended broker: repeatable, consistent, on its own clock."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt5_simulator import constants as mt5
from mt5_simulator import structs
from mt5_simulator.broker.clock import DAY_MS, broker_ms, closed_since_ms, nights, utc_offset_s
from mt5_simulator.broker.opening import opening_book
from mt5_simulator.broker.passing import advance
from mt5_simulator.broker.quotes import quote
from mt5_simulator.broker.requests import TradeRequest
from mt5_simulator.broker.symbols import MARKET
from mt5_simulator.broker.trading import send
from mt5_simulator.broker.valuation import Prices

NOW_MS = 1_795_428_000_000
LOGINS = st.integers(min_value=1, max_value=2**63 - 1)
MOMENTS = st.integers(min_value=1_750_000_000_000, max_value=2_000_000_000_000)


def prices(utc_ms: int = NOW_MS) -> Prices:
    return Prices("Simulator-Demo", utc_ms, MARKET)


def market(**fields: object) -> TradeRequest:
    return TradeRequest(
        **{"action": mt5.TRADE_ACTION_DEAL, "symbol": "EURUSD", "volume": 0.1, **fields}
    )


@pytest.mark.parametrize(
    ("utc", "hours"),
    [
        ("2026-03-08T06:59:59", 2),  # New York's second Sunday of March, 02:00
        ("2026-03-08T07:00:00", 3),
        ("2026-11-01T05:59:59", 3),
        ("2026-11-01T06:00:00", 2),
        ("2026-11-21T12:00:00", 2),
    ],
)
def test_the_brokers_clock_follows_new_york(utc, hours):
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC)

    assert utc_offset_s(int(moment.timestamp() * 1000)) == hours * 3600


@settings(deadline=None)  # two cores, many processes
@given(MOMENTS, st.sampled_from(sorted(MARKET)))
def test_a_quote_is_recent_positive_and_has_a_spread(moment, name):
    now = quote("Simulator-Demo", MARKET[name], moment)

    assert 0 <= moment - now.utc_ms < 10_000
    assert 0 < now.bid < now.ask
    assert now.ask - now.bid < MARKET[name].spread_points * 2 * MARKET[name].point


def test_prices_move_in_most_seconds():
    bids = [quote("Simulator-Demo", MARKET["EURUSD"], NOW_MS + s * 1000).bid for s in range(61)]

    assert sum(before != after for before, after in pairwise(bids)) > 30


@settings(deadline=None)  # two cores, many processes
@given(LOGINS, MOMENTS)
def test_every_account_begins_with_positions_and_consistent_money(login, moment):
    book, now = opening_book("Simulator-Demo", login), prices(moment)
    worth = now.worth(book)

    assert 2 <= len(book.positions) <= 4
    assert worth.equity == pytest.approx(worth.balance + worth.profit)
    assert worth.margin_free == pytest.approx(worth.equity - worth.margin)
    held = book.positions.values()
    assert worth.profit == pytest.approx(sum(now.profit(p) + now.swap(p) for p in held))
    assert worth.margin_free > 0
    tickets = [*book.positions, *book.orders, *(deal.ticket for deal in book.deals)]
    assert len(tickets) == len(set(tickets))


def test_a_login_always_begins_with_the_same_book():
    assert opening_book("Simulator-Demo", 7) == opening_book("Simulator-Demo", 7)
    assert opening_book("Simulator-Demo", 7) != opening_book("Simulator-Demo", 8)


def test_a_position_opened_and_closed_turns_its_profit_into_balance():
    book = opening_book("Simulator-Demo", 1)
    before = book.balance
    opened = send(market(type=0), book, prices())
    later = prices(NOW_MS + 3_600_000)
    floating = later.profit(book.positions[opened.order])

    closed = send(market(type=1, position=opened.order), book, later)

    assert (opened.retcode, closed.retcode) == (mt5.TRADE_RETCODE_DONE, mt5.TRADE_RETCODE_DONE)
    assert opened.order not in book.positions
    assert book.balance == pytest.approx(before + floating)


def test_a_part_of_a_position_can_be_closed():
    book = opening_book("Simulator-Demo", 1)
    opened = send(market(type=0, volume=0.3), book, prices())

    send(market(type=1, volume=0.1, position=opened.order), book, prices())

    assert book.positions[opened.order].volume == 0.2


def test_without_position_an_opposite_deal_opens_a_second_one():
    book = opening_book("Simulator-Demo", 1)
    count = len(book.positions)

    send(market(type=0), book, prices())
    send(market(type=1), book, prices())

    assert len(book.positions) == count + 2


@pytest.mark.parametrize(
    ("request_", "retcode"),
    [
        (market(volume=0.005), mt5.TRADE_RETCODE_INVALID_VOLUME),
        (market(volume=0.015), mt5.TRADE_RETCODE_INVALID_VOLUME),
        (market(volume=100.0, symbol="XAUUSD"), mt5.TRADE_RETCODE_NO_MONEY),
        (market(symbol="NOPE"), mt5.TRADE_RETCODE_INVALID),
        (market(sl=9.0), mt5.TRADE_RETCODE_INVALID_STOPS),
        (market(type_filling=mt5.ORDER_FILLING_RETURN), mt5.TRADE_RETCODE_INVALID_FILL),
        (market(position=5), mt5.TRADE_RETCODE_POSITION_CLOSED),
        (market(action=99), mt5.TRADE_RETCODE_INVALID),
        (market(action=5, type=2, price=9.0), mt5.TRADE_RETCODE_INVALID_PRICE),
        (market(action=8, order=5), mt5.TRADE_RETCODE_INVALID_ORDER),
    ],
)
def test_a_request_that_breaks_a_rule_has_its_retcode_and_changes_nothing(request_, retcode):
    book, untouched = opening_book("Simulator-Demo", 1), opening_book("Simulator-Demo", 1)

    assert send(request_, book, prices()).retcode == retcode
    assert book == untouched


def test_a_waiting_order_is_filled_when_the_market_reaches_it():
    book, now = opening_book("Simulator-Demo", 1), prices()
    ask = now.quote("EURUSD").ask
    placed = send(market(action=5, type=2, price=ask - 0.00001), book, now)
    later = next(
        prices(NOW_MS + minute * 60_000)
        for minute in range(1, 100_000)
        if prices(NOW_MS + minute * 60_000).quote("EURUSD").ask < ask - 0.00001
    )

    assert advance(book, later)

    assert placed.order in book.positions
    assert placed.order not in book.orders


def test_a_stop_loss_closes_its_position():
    book = opening_book("Simulator-Demo", 1)
    bid = prices().quote("EURUSD").bid
    opened = send(market(type=0, sl=round(bid - 0.0005, 5)), book, prices())
    later = next(
        prices(NOW_MS + minute * 60_000)
        for minute in range(1, 100_000)
        if prices(NOW_MS + minute * 60_000).quote("EURUSD").bid < bid - 0.0005
    )

    advance(book, later)

    assert opened.order not in book.positions
    assert book.deals[-1].comment.startswith("[sl ")


def test_structs_are_tuples_with_names():
    tick = structs.Tick((1, 1.1, 1.2, 0.0, 0, 1000, 6, 0.0))

    assert tick.ask == tick[2] == tick._asdict()["ask"]
    with pytest.raises(AttributeError):
        _ = tick.nope
    with pytest.raises(TypeError):
        structs.Tick((1, 2))


def netting_book():
    return opening_book("Simulator-Netting", 1, netting=True)


def test_on_a_netting_account_an_opposite_deal_reduces_closes_and_turns():
    book, now = netting_book(), prices()
    trade = {"symbol": "US500", "volume": 0.2}
    ticket = send(market(type=0, **trade), book, now).order

    send(market(type=1, symbol="US500", volume=0.1), book, now)
    reduced = book.positions[ticket].volume
    send(market(type=1, symbol="US500", volume=0.4), book, now)
    turned = book.positions[ticket]

    assert reduced == 0.1
    assert (turned.side, turned.volume) == (1, 0.3)
    assert book.deals[-1].entry == mt5.DEAL_ENTRY_INOUT
    send(market(type=0, symbol="US500", volume=0.3), book, now)
    assert ticket not in book.positions
    assert {deal.position for deal in book.deals[-4:]} == {ticket}


def test_a_position_that_grows_has_the_average_price():
    book = netting_book()
    later = prices(NOW_MS + 86_400_000)
    first = send(market(type=0, symbol="US500", volume=0.1), book, prices())
    second = send(market(type=0, symbol="US500", volume=0.3), book, later)

    held = book.positions[first.order]

    assert held.price_open == pytest.approx((first.price + 3 * second.price) / 4)


@pytest.mark.parametrize(("order", "left"), [({"sl": 50.0}, (50.0, 0.0)), ({}, (0.0, 0.0))])
def test_a_position_that_grows_has_the_stops_of_its_last_order(order, left):
    book = netting_book()
    first = send(market(type=0, symbol="US500", volume=0.1, sl=40.0, tp=1e6), book, prices())

    send(market(type=1, symbol="US500", volume=0.05), book, prices())
    reduced = book.positions[first.order]
    assert (reduced.sl, reduced.tp) == (40.0, 1e6)

    send(market(type=0, symbol="US500", volume=0.1, **order), book, prices())
    grown = book.positions[first.order]
    assert (grown.sl, grown.tp) == left


def test_more_than_the_market_takes_is_filled_in_part_or_not_at_all():
    book = opening_book("Simulator-Demo", 4)
    order = {"symbol": "BTCUSD", "volume": 3.0, "type": 0}

    part = send(market(type_filling=mt5.ORDER_FILLING_IOC, **order), book, prices())
    none = send(market(type_filling=mt5.ORDER_FILLING_FOK, **order), book, prices())

    assert (part.retcode, part.volume) == (mt5.TRADE_RETCODE_DONE_PARTIAL, 2.0)
    assert book.positions[part.order].volume == 2.0
    assert book.past_orders[-1].volume_left == 1.0
    assert none.retcode == mt5.TRADE_RETCODE_REJECT


@pytest.mark.parametrize(
    ("fields", "hours"),
    [
        ({"type_time": mt5.ORDER_TIME_SPECIFIED, "expiration": 3 * 3600}, 3),
        ({"type_time": mt5.ORDER_TIME_SPECIFIED_DAY, "expiration": 3 * 3600}, 12),
        ({"type_time": mt5.ORDER_TIME_DAY}, 12),
    ],
)
def test_a_waiting_order_expires_on_the_brokers_clock(fields, hours):
    book, noon = opening_book("Simulator-Demo", 1), prices(NOW_MS)  # 12:00 at the broker
    if "expiration" in fields:
        fields = {**fields, "expiration": broker_ms(NOW_MS) // 1000 + fields["expiration"]}
    placed = send(market(action=5, type=2, price=0.9, **fields), book, noon)

    advance(book, prices(NOW_MS + hours * 3_600_000 - 1))
    still = placed.order in book.orders
    advance(book, prices(NOW_MS + hours * 3_600_000))

    assert still
    assert placed.order not in book.orders
    assert book.past_orders[-1].state == mt5.ORDER_STATE_EXPIRED


def test_an_expiration_in_the_past_is_refused():
    order = market(action=5, type=2, price=0.9, type_time=mt5.ORDER_TIME_SPECIFIED, expiration=5)

    refused = send(order, opening_book("Simulator-Demo", 1), prices())

    assert refused.retcode == mt5.TRADE_RETCODE_INVALID_EXPIRATION


def night_of(day: str) -> tuple[int, int]:
    """Return noon of a day and noon of the next, UTC."""
    noon = int(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=UTC).timestamp() * 1000)
    return noon, noon + DAY_MS


@pytest.mark.parametrize(
    ("day", "count"),
    [
        ("2026-11-16", 1),  # Monday
        ("2026-11-17", 1),
        ("2026-11-18", 3),  # Wednesday
        ("2026-11-19", 1),
        ("2026-11-20", 1),
        ("2026-11-21", 0),  # Saturday
        ("2026-11-22", 0),
    ],
)
def test_swap_is_of_nights_and_wednesdays_counts_for_the_weekend(day, count):
    assert nights(*night_of(day)) == count


@settings(deadline=None)  # two cores, many processes
@given(MOMENTS, st.integers(0, 400 * DAY_MS), st.integers(0, 400 * DAY_MS))
def test_nights_add_up_whatever_the_cut(begin, first, second):
    middle, end = begin + first, begin + first + second

    assert nights(begin, middle) + nights(middle, end) == nights(begin, end)
    assert nights(begin, begin + 7 * DAY_MS * 4 + 7 * 3_600_000) >= 26


def test_swap_is_seen_while_it_floats_and_booked_with_the_part_that_is_closed():
    book = opening_book("Simulator-Demo", 1)
    opened = send(market(type=0, volume=0.4), book, prices())
    before = book.balance
    later = prices(NOW_MS + 7 * DAY_MS)
    position = book.positions[opened.order]
    assert later.swap(position) == pytest.approx(-0.7 * 7 * 0.4, abs=0.01)  # a dollar a point a lot

    send(market(type=1, volume=0.1, position=opened.order), book, later)

    part, rest = book.deals[-1].swap, later.swap(position)
    assert part == pytest.approx(-0.7 * 7 * 0.1, abs=0.01)
    assert part + rest == pytest.approx(-0.7 * 7 * 0.4, abs=0.02)
    assert book.balance == pytest.approx(before + book.deals[-1].profit + part)


def test_a_netting_position_that_grows_and_turns_pays_swap_for_what_was_held():
    book = opening_book("Simulator-Netting", 1, netting=True)
    for position in [*book.positions.values()]:
        if position.symbol == "EURUSD":
            del book.positions[position.ticket]
    opened = send(market(type=0, volume=0.1), book, prices())
    week, weeks = prices(NOW_MS + 7 * DAY_MS), prices(NOW_MS + 14 * DAY_MS)
    send(market(type=0, volume=0.1), book, week)

    send(market(type=1, volume=0.3), book, weeks)

    turned = book.deals[-1]
    assert turned.entry == mt5.DEAL_ENTRY_INOUT
    assert turned.swap == pytest.approx(-0.7 * 7 * (0.1 + 0.2), abs=0.02)
    assert weeks.swap(book.positions[opened.order]) == 0


def test_an_account_below_its_margin_is_closed_down_to_what_it_can_carry():
    book, now = opening_book("Simulator-Demo", 1), prices()
    # All that the margin lets in; then nearly all money is gone.
    send(market(type=0, volume=5.0), book, now)
    margin = now.worth(book).margin
    book.deals[0].profit -= now.worth(book).equity - margin * 0.29
    held = len(book.positions)

    assert advance(book, now)

    closed = book.deals[-1]
    assert len(book.positions) < held
    assert closed.reason == mt5.DEAL_REASON_SO
    assert closed.comment.startswith("[so ")
    assert not book.positions or now.worth(book).margin_level >= 30
    assert not advance(book, now)


@pytest.mark.parametrize(
    ("broker_time", "last_open"),
    [
        ("2026-11-20T23:59:59", None),  # Friday
        ("2026-11-21T00:00:00", "2026-11-20T23:59:59.999"),
        ("2026-11-22T23:59:59", "2026-11-20T23:59:59.999"),
        ("2026-11-23T00:04:59", "2026-11-20T23:59:59.999"),
        ("2026-11-23T00:05:00", None),
        ("2026-11-24T00:03:00", "2026-11-23T23:59:59.999"),
        ("2026-11-24T12:00:00", None),
    ],
)
def test_sessions_end_at_night_and_for_the_weekend(broker_time, last_open):
    def utc(text: str) -> int:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000) - 2 * 3_600_000  # winter

    assert closed_since_ms(utc(broker_time)) == (last_open and utc(last_open))
