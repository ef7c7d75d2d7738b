# SPDX-License-Identifier: Apache-2.0
"""The package's odd behaviour (MT5.md 0, 3.4, 3.5), as a table that the real one can be held
against too."""

from datetime import UTC, datetime

import pytest

import mt5_simulator as mt5

BUY = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0}


@pytest.fixture
def attached(program):
    """The package, attached to a terminal that is logged in."""
    assert mt5.initialize(program, login=1, password="x", server="Simulator-Demo", timeout=5000)
    yield mt5
    mt5.shutdown()


def test_without_a_terminal_calls_say_no_connection():
    mt5.shutdown()

    assert mt5.account_info() is None
    assert mt5.last_error()[0] == mt5.RES_E_INTERNAL_FAIL_CONNECT
    assert mt5.symbols_total() is None
    assert mt5.last_error()[0] == mt5.RES_E_INVALID_VERSION
    assert mt5.version() == (0, 0, "")
    assert mt5.order_send(BUY) is None
    assert mt5.last_error()[0] == mt5.RES_E_INTERNAL_FAIL_CONNECT


def test_initialize_without_a_terminal_says_so(tmp_path):
    path = str(tmp_path / "terminal64.exe")
    assert not mt5.initialize(path, nonsense=1)
    assert mt5.last_error() == (-10003, f"IPC initialize failed, Process create failed '{path}'")
    assert not mt5.initialize()
    assert "not found" in mt5.last_error()[1]


def test_a_failed_login_detaches_and_any_later_call_hides_why(program):
    assert not mt5.initialize(program, login=1, password="x", server="Simulator-Nope", timeout=10)
    assert mt5.last_error()[0] == mt5.RES_E_INTERNAL_FAIL_TIMEOUT

    assert mt5.account_info() is None
    assert mt5.last_error()[0] == mt5.RES_E_INTERNAL_FAIL_CONNECT


@pytest.mark.parametrize(
    "request_",
    [
        {**BUY, "volume": 1},
        {**BUY, "price": 1},
        {**BUY, "magic": 1.0},
        {**BUY, "comment": "x" * 30},
        {**BUY, "symbol": "x" * 30},
    ],
)
def test_an_argument_of_the_wrong_type_is_none_and_minus_two(attached, request_):
    assert attached.order_send(request_) is None
    assert attached.last_error()[0] == attached.RES_E_INVALID_PARAMS


def test_unknown_keys_are_ignored_as_silently_as_the_package_does(attached):
    result = attached.order_send({**BUY, "stoplos": 1.0})

    assert result.retcode == attached.TRADE_RETCODE_DONE
    assert result.request.sl == 0.0


def test_positional_functions_refuse_keywords(attached):
    with pytest.raises(TypeError):
        attached.symbol_info(symbol="EURUSD")


def test_what_is_not_there_is_empty_and_not_none(attached):
    assert attached.positions_get(ticket=1) == ()
    assert attached.orders_get(symbol="NOPE") == ()
    assert attached.symbol_info("NOPE") is None


def test_groups_choose_and_exclude(attached):
    names = {symbol.name for symbol in attached.symbols_get(group="*USD*, !EUR*")}

    assert "GBPUSD" in names
    assert "EURUSD" not in names


def test_history_takes_two_dates_or_a_number(attached):
    deals = attached.history_deals_get(0, datetime(2030, 1, 1, tzinfo=UTC))

    assert attached.history_deals_total(0, 2**31) >= len(deals) > 7
    assert deals[0].type == attached.DEAL_TYPE_BALANCE
    assert attached.history_deals_get(position=deals[1].position_id)
    assert attached.history_deals_get(0) is None
    assert attached.last_error()[0] == attached.RES_E_INVALID_PARAMS


def test_the_shortcuts_buy_and_close(attached):
    bought = attached.Buy("GBPUSD", 0.1, comment="short")

    assert attached.Close("GBPUSD", ticket=bought.order) is True
    assert attached.positions_get(ticket=bought.order) == ()


def test_check_and_calculators_agree(attached):
    price = attached.symbol_info_tick("EURUSD").ask
    before = attached.account_info().margin
    checked = attached.order_check({**BUY, "price": price})

    margin = attached.order_calc_margin(0, "EURUSD", 0.1, price)
    assert checked.retcode == 0
    assert checked.margin == pytest.approx(before + margin, abs=0.05)
    assert attached.order_calc_profit(0, "EURUSD", 1.0, 1.0, 1.001) == pytest.approx(100.0)


def test_bars_are_records_of_the_packages_shape_and_join_each_other(attached):
    bars = attached.copy_rates_from_pos("EURUSD", attached.TIMEFRAME_M5, 1, 20)
    again = attached.copy_rates_range(
        "EURUSD", attached.TIMEFRAME_M5, int(bars["time"][0]), int(bars["time"][-1])
    )

    assert len(bars) == 20
    assert (bars["time"][1:] - bars["time"][:-1] == 300).all()
    assert (bars["low"] <= bars["open"]).all()
    assert (bars["close"] <= bars["high"]).all()
    assert (again == bars).all()
    assert attached.copy_rates_from_pos("NOPE", attached.TIMEFRAME_M5, 0, 1) is None
    assert attached.last_error()[0] == attached.RES_E_NOT_FOUND


def test_ticks_are_records_in_order(attached):
    now = attached.symbol_info_tick("EURUSD")

    ticks = attached.copy_ticks_range("EURUSD", now.time - 60, now.time, attached.COPY_TICKS_ALL)
    trades = attached.copy_ticks_from("EURUSD", now.time - 60, 10, attached.COPY_TICKS_TRADE)

    assert 50 < len(ticks) < 300
    assert (ticks["time_msc"][1:] > ticks["time_msc"][:-1]).all()
    assert (ticks["ask"] > ticks["bid"]).all()
    assert len(trades) == 0


def test_depth_must_be_asked_for_and_surrounds_the_price(attached):
    assert attached.market_book_get("EURUSD") is None
    assert attached.market_book_add("EURUSD")

    book = attached.market_book_get("EURUSD")

    assert [row.type for row in book] == [attached.BOOK_TYPE_SELL] * 5 + [
        attached.BOOK_TYPE_BUY
    ] * 5
    assert [row.price for row in book] == sorted((row.price for row in book), reverse=True)
    assert attached.market_book_release("EURUSD")
    assert attached.market_book_get("EURUSD") is None
