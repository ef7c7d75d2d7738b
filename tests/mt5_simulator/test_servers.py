# SPDX-License-Identifier: Apache-2.0
"""Each test server does what `docs/test-servers.md` says."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mt5_simulator import structs
from mt5_simulator.broker.clock import DAY_MS
from mt5_simulator.terminal.calls import NeverAnswers
from mt5_simulator.terminal.scenario import SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "test-servers.md"


def test_every_server_is_documented_and_no_other():
    documented = set(re.findall(r"^\| `(Simulator-\w+)`", PAGE.read_text(), re.MULTILINE))

    assert documented == set(SCENARIOS)


def test_the_demo_accepts_any_password_and_writes_what_a_terminal_writes(bench):
    assert bench.login() == "ready"

    assert "'1': authorized on Simulator-Demo through Access Point 1" in bench.journal()
    assert "trading has been enabled - hedging mode" in bench.journal()


@pytest.mark.parametrize(
    ("server", "word", "verdict", "line"),
    [
        ("Simulator-Demo", "", (-6,), "authorization on Simulator-Demo failed (Invalid account)"),
        (
            "Simulator-BadPassword",
            "wrong",
            (-6,),
            "authorization on Simulator-BadPassword failed (Invalid account)",
        ),
        ("Simulator-OldBuild", "x", (-5,), "failed (Old version)"),
        ("Simulator-NeedsOtp", "x", (-7,), "failed (OTP required)"),
    ],
)
def test_a_refusing_server_gives_code_and_journal_line(bench, server, word, verdict, line):
    assert bench.login(server=server, word=word) == "refused"

    assert bench.session.verdict()[1:2] == verdict
    assert line in bench.journal()


def test_an_unreachable_server_says_so_and_an_unknown_one_says_nothing(bench):
    assert bench.login(server="Simulator-Unreachable") == "silent"
    assert "no connection to Simulator-Unreachable" in bench.journal()

    before = bench.journal()
    assert bench.login(server="Simulator-Elsewhere") == "silent"
    assert bench.journal() == before


def test_the_slow_server_takes_its_time(bench):
    assert bench.login(server="Simulator-SlowLogin") == "authorizing"

    bench.passes(5_000)

    assert bench.session.verdict()[0] == "ready"


def test_the_dropping_server_loses_its_link_and_finds_it_again(bench):
    bench.login(server="Simulator-DropsLink")

    bench.passes(18_000)
    assert not bench.session.connected
    assert "connection to Simulator-DropsLink lost" in bench.journal()
    bench.passes(3_000)
    assert bench.session.connected


@pytest.mark.parametrize(("wine", "drops"), [(True, 5), (False, 0)])
def test_the_server_that_blocks_wine_kicks_wine_only(tmp_path, bench, wine, drops):
    bench = type(bench)(tmp_path / "other", wine=wine)
    bench.login(server="Simulator-WineBlocked")

    for _ in range(20):
        bench.passes(1_000)

    assert bench.journal().count("lost") == drops


def test_a_terminal_that_is_started_again_still_has_its_trades(bench):
    bench.login()
    buy = [1, 0, 0, "EURUSD", 0.1, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, "kept", 0, 0]
    order = bench.ask("order_send", buy)[2]

    again = type(bench)(bench.data_dir)
    again.login()

    assert [row[17] for row in again.ask("positions_get", "", order, "")] == ["kept"]


BUY = [1, 0, 0, "EURUSD", 0.1, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, "mine", 0, 0]
SELL = [*BUY[:10], 1, *BUY[11:]]


def test_the_hanging_server_carries_an_order_out_and_never_says_so(bench):
    bench.login(server="Simulator-Hangs")
    order = ["HANGS" if value == "EURUSD" else value for value in BUY]

    with pytest.raises(NeverAnswers):
        bench.calls.answer("order_send", [order])

    assert "HANGS" in [row[16] for row in bench.ask("positions_get", "", 0, "")]


def test_the_requoting_server_fills_the_third_try(bench):
    bench.login(server="Simulator-Requotes")

    codes = [bench.ask("order_send", BUY)[0] for _ in range(4)]

    assert codes == [10004, 10004, 10009, 10004]


def test_the_server_that_loses_replies_carries_orders_out(bench):
    bench.login(server="Simulator-LosesReplies")

    code, _, value = bench.calls.answer("order_send", [BUY])

    assert (code, value) == (-10002, None)
    assert "mine" in [row[17] for row in bench.ask("positions_get", "", 0, "")]


def test_the_closed_market_stands_still_and_takes_no_order(bench):
    bench.login(server="Simulator-MarketClosed")
    before = bench.ask("symbol_info_tick", "EURUSD")

    bench.passes(3_600_000)

    assert bench.ask("symbol_info_tick", "EURUSD") == before
    assert datetime.fromtimestamp(before[0], UTC).strftime("%A %H") == "Friday 23"
    assert bench.ask("order_send", BUY)[0] == 10018
    assert bench.ask("order_check", BUY)[0] == 10018


@pytest.mark.parametrize(
    ("server", "retcode"), [("Simulator-AlgoOff", 10027), ("Simulator-Investor", 10017)]
)
def test_where_programs_may_not_trade_reads_work_and_orders_are_refused(bench, server, retcode):
    bench.login(server=server)
    held = bench.ask("positions_get", "", 0, "")

    terminal, account = bench.ask("terminal_info"), bench.ask("account_info")

    assert (terminal[4], account[5]) == (
        server != "Simulator-AlgoOff",
        server != "Simulator-Investor",
    )
    assert ("investor mode" in bench.journal()) is (server == "Simulator-Investor")
    assert bench.ask("order_send", BUY)[0] == retcode
    assert len(bench.ask("positions_get", "", 0, "")) == len(held)


def test_the_netting_server_has_one_position_of_a_symbol(bench):
    bench.login(server="Simulator-Netting")
    assert bench.ask("account_info")[7] == 0
    assert "netting mode" in bench.journal()
    held = [row[16] for row in bench.ask("positions_get", "", 0, "")]
    assert len(held) == len(set(held))

    order = ["US500" if value == "EURUSD" else value for value in BUY]
    first, second = (bench.ask("order_send", order) for _ in range(2))

    ((ticket, *_, volume),) = (row[:10] for row in bench.ask("positions_get", "US500", 0, ""))
    assert (ticket, volume) == (first[2], 0.2)
    assert second[2] != first[2]


def test_history_comes_from_the_server_only_when_it_is_asked_for(bench):
    bench.login()

    first = bench.ask("copy_rates_from_pos", "EURUSD", 1, 0, 150)
    bench.passes(1_000)
    then = bench.ask("copy_rates_from_pos", "EURUSD", 1, 0, 150)

    assert (len(first), len(then)) == (100, 150)


def test_the_server_with_sessions_stands_still_at_the_weekend_and_goes_on_after_it(bench):
    bench.login(server="Simulator-Sessions")
    order = [1, 0, 0, "EURUSD", 0.1, *[0.0] * 4, *[0] * 5, "", 0, 0]
    monday = bench.ask("symbol_info_tick", "EURUSD")
    assert bench.ask("order_send", order)[0] == 10009

    bench.passes(5 * DAY_MS)  # Saturday
    first = bench.ask("symbol_info_tick", "EURUSD")
    bench.passes(3_600_000)
    assert bench.ask("symbol_info_tick", "EURUSD") == first != monday
    assert bench.ask("order_send", order)[0] == 10018

    bench.passes(2 * DAY_MS)
    assert bench.ask("order_send", order)[0] == 10009


def test_a_symbol_has_no_price_until_it_is_selected_and_a_moment_later(bench):
    bench.login()

    def seen():
        info = structs.SymbolInfo(bench.ask("symbol_info", "BTCUSD"))
        return info.select, info.bid, bench.ask("symbol_info_tick", "BTCUSD")[1]

    before = seen()
    bench.ask("symbol_select", "BTCUSD", 1)
    at_once = seen()
    bench.passes(200)
    selected, bid, tick_bid = seen()

    assert (before, at_once) == ((False, 0, 0), (True, 0, 0))
    assert selected
    assert bid == tick_bid > 0
