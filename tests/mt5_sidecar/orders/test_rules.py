# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from decimal import Decimal

import pytest
from order_world.records import made, symbol_info

from mt5_agent.protocol import Order, Position
from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.errors import TradingDisabled
from mt5_sidecar.orders.errors import BrokenLimit, OverLimit, TooManyOrders
from mt5_sidecar.orders.rules import account, modes, prices, volumes
from mt5_sidecar.orders.symbols import Symbol, symbol

D = Decimal
EURUSD = symbol(symbol_info())
FAR = replace(EURUSD, stops_level=20)
ICY = replace(EURUSD, freeze_level=20)


def broken(limit: str) -> "pytest.RaisesExc[BrokenLimit]":
    return pytest.raises(BrokenLimit, match=f"^{limit}: ")


@pytest.mark.parametrize("volume", ["0.01", "0.03", "0.30", "100"])
def test_a_volume_on_the_steps_passes(volume: str) -> None:
    volumes.check_volume(D(volume), EURUSD)


@pytest.mark.parametrize(
    ("volume", "limit"),
    [
        ("0", "volume_min"),
        ("0.009", "volume_min"),
        ("100.01", "volume_max"),
        ("0.015", "volume_step"),
    ],
)
def test_a_volume_off_the_limits_names_the_limit(volume: str, limit: str) -> None:
    with broken(limit):
        volumes.check_volume(D(volume), EURUSD)


def test_steps_may_be_counted_from_the_smallest_volume() -> None:
    odd = replace(EURUSD, volume_min=D("0.05"), volume_step=D("0.02"))

    volumes.check_volume(D("0.07"), odd)
    volumes.check_volume(D("0.06"), odd)


def test_the_volume_limit_counts_what_is_open_and_what_waits_in_one_direction() -> None:
    limited = replace(EURUSD, volume_limit=D(1))
    held = volumes.held_volume(
        "EURUSD",
        buying=True,
        positions=[made(Position, symbol="EURUSD", type=0, volume=0.3),
                   made(Position, symbol="EURUSD", type=1, volume=9.0),
                   made(Position, symbol="GBPUSD", type=0, volume=9.0)],
        orders=[made(Order, symbol="EURUSD", type=2, volume_current=0.4),
                made(Order, symbol="EURUSD", type=3, volume_current=9.0),
                made(Order, symbol="GBPUSD", type=2, volume_current=9.0)],
    )  # fmt: skip

    assert held == D("0.7")
    volumes.check_volume_limit(D("0.3"), held, limited)
    with broken("volume_limit"):
        volumes.check_volume_limit(D("0.31"), held, limited)


def test_a_position_is_closed_whole_though_its_rest_is_off_the_steps() -> None:
    volumes.check_close_volume(D("0.005"), D("0.005"), EURUSD)
    with broken("position_volume"):
        volumes.check_close_volume(D("0.02"), D("0.01"), EURUSD)
    with broken("volume_step"):
        volumes.check_close_volume(D("0.015"), D("0.02"), EURUSD)


def test_a_price_between_two_ticks_is_refused() -> None:
    prices.check_digits("price", D("1.10001"), EURUSD)
    with broken("tick_size"):
        prices.check_digits("price", D("1.100015"), EURUSD)
    with broken("tick_size"):
        prices.check_digits("price", D("100.1"), replace(EURUSD, tick_size=D("0.25")))


@pytest.mark.parametrize(
    ("order_type", "good", "bad"),
    [
        (2, "1.09990", "1.09991"),
        (3, "1.10020", "1.10019"),
        (4, "1.10030", "1.10029"),
        (5, "1.09980", "1.09981"),
        (6, "1.10030", "1.10029"),
        (7, "1.09980", "1.09981"),
    ],
)
def test_a_waiting_price_keeps_its_side_and_its_distance(
    order_type: int, good: str, bad: str
) -> None:
    prices.check_pending_price(order_type, D(good), FAR)
    with broken("stops_level"):
        prices.check_pending_price(order_type, D(bad), FAR)


@pytest.mark.parametrize(("order_type", "price"), [(2, "1.2"), (3, "1.0")])
def test_an_exchange_takes_a_limit_order_beyond_the_market(order_type: int, price: str) -> None:
    prices.check_pending_price(order_type, D(price), replace(FAR, execution=3))
    with broken("stops_level"):
        prices.check_pending_price(order_type, D(price), replace(FAR, execution=2))


@pytest.mark.parametrize(("order_type", "price"), [(4, "1.0"), (5, "1.2")])
def test_a_stop_order_keeps_its_side_on_an_exchange_too(order_type: int, price: str) -> None:
    with broken("stops_level"):
        prices.check_pending_price(order_type, D(price), replace(FAR, execution=3))


@pytest.mark.parametrize(
    ("is_buy", "sl", "tp", "fits"),
    [
        (True, "1.0998", "1.1002", True),
        (True, "1.0999", "0", False),
        (True, "0", "1.1001", False),
        (True, "1.2", "0", False),
        (False, "1.1002", "1.0998", True),
        (False, "1.0998", "0", False),
        (True, "0", "0", True),
    ],
)
def test_stops_keep_their_sides_and_their_distance(
    is_buy: bool,  # noqa: FBT001  a table
    sl: str,
    tp: str,
    fits: bool,  # noqa: FBT001
) -> None:
    def check() -> None:
        prices.check_stops(is_buy=is_buy, reference=D("1.1"), sl=D(sl), tp=D(tp), symbol=FAR)

    if fits:
        check()
    else:
        with broken("stops_level"):
            check()


def test_what_is_about_to_happen_cannot_be_changed() -> None:
    prices.check_not_frozen("price", D("1.1003"), D("1.1"), ICY)
    prices.check_not_frozen("price", D("1.1001"), D("1.1"), EURUSD)
    with broken("freeze_level"):
        prices.check_not_frozen("price", D("1.1002"), D("1.1"), ICY)


@pytest.mark.parametrize(
    ("mode", "buy", "sell"),
    [(0, False, False), (1, True, False), (2, False, True), (3, False, False), (4, True, True)],
)
def test_a_trade_mode_allows_its_sides(
    mode: int,
    buy: bool,  # noqa: FBT001
    sell: bool,  # noqa: FBT001
) -> None:
    for side, allowed in (("buy", buy), ("sell", sell)):
        limited = replace(EURUSD, trade_mode=mode)
        if allowed:
            modes.check_trade_mode(side, limited)  # type: ignore[arg-type]
        else:
            with broken("trade_mode"):
                modes.check_trade_mode(side, limited)  # type: ignore[arg-type]


def symbol_with(execution: int, filling: int) -> Symbol:
    return replace(EURUSD, execution=execution, filling_mode=filling)


@pytest.mark.parametrize(
    ("execution", "bits", "asked", "chosen"),
    [
        (0, 3, None, 0), (1, 2, None, 0), (1, 2, "ioc", None),
        (2, 1, None, 0), (2, 2, None, 1), (2, 3, None, 0), (2, 3, "ioc", 1), (2, 1, "ioc", None),
        (2, 0, None, 2), (2, 3, "return", None), (2, 4, None, 2),
        (3, 0, None, 2), (3, 3, None, 0), (3, 3, "return", 2), (3, 3, "boc", None),
    ],
)  # fmt: skip
def test_a_market_orders_filling_is_one_that_the_symbol_has(
    execution: int, bits: int, asked: modes.Filling | None, chosen: int | None
) -> None:
    limited = symbol_with(execution, bits)
    if chosen is None:
        with broken("filling_mode"):
            modes.market_filling(asked, limited)
    else:
        assert modes.market_filling(asked, limited) == chosen


@pytest.mark.parametrize(
    ("kind", "bits", "asked", "chosen"),
    [
        ("limit", 3, None, 2), ("limit", 4, "boc", 3), ("limit", 3, "boc", None),
        ("stop", 4, "boc", None), ("stop_limit", 4, "boc", 3), ("limit", 3, "fok", None),
    ],
)  # fmt: skip
def test_a_waiting_orders_filling_is_return_or_book_or_cancel(
    kind: modes.Kind, bits: int, asked: modes.Filling | None, chosen: int | None
) -> None:
    limited = symbol_with(2, bits)
    if chosen is None:
        with broken("filling_mode"):
            modes.pending_filling(asked, kind, limited)
    else:
        assert modes.pending_filling(asked, kind, limited) == chosen


def test_trading_is_off_until_asked_for() -> None:
    with pytest.raises(TradingDisabled):
        account.check_enabled(Trading())
    account.check_enabled(Trading(enabled=True))


@pytest.mark.parametrize("most", ["0.5", 0.5])
def test_the_account_limits_size_and_symbols(most: str | float) -> None:
    limits = Trading(enabled=True, max_volume=most, symbols=["EURUSD"])

    account.check_new_order("EURUSD", D("0.5"), limits)
    with pytest.raises(OverLimit, match="lots"):
        account.check_new_order("EURUSD", D("0.51"), limits)
    with pytest.raises(OverLimit, match="XAUUSD"):
        account.check_new_order("XAUUSD", D("0.1"), limits)


@pytest.mark.parametrize("unreadable", ["much", "NaN", "Infinity"])
def test_a_limit_that_cannot_be_read_allows_nothing(unreadable: str) -> None:
    with pytest.raises(OverLimit):
        account.check_new_order("EURUSD", D("0.01"), Trading(max_volume=unreadable))


def test_the_rate_counts_the_last_minute_only_and_says_how_long_to_wait() -> None:
    limits = Trading(enabled=True, orders_per_minute=2)

    account.check_rate([1000, 61_500], now_ms=62_000, trading=limits)
    with pytest.raises(TooManyOrders) as refused:
        account.check_rate([30_000, 61_500], now_ms=62_000, trading=limits)

    assert refused.value.extra["retry_after_s"] == 28
    account.check_rate([3_662_000, 3_662_001], now_ms=62_000, trading=limits)  # set back an hour


def test_no_orders_a_minute_means_none() -> None:
    with pytest.raises(TooManyOrders):
        account.check_rate([], now_ms=0, trading=Trading(orders_per_minute=0))
