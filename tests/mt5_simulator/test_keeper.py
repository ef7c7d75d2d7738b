# SPDX-License-Identifier: Apache-2.0
"""One broker behind the terminals of several pods: the same book for all, one at a time."""

import contextlib
import json
import socket
import subprocess
import sys
import threading

import pytest

from mt5_simulator import keeper
from mt5_simulator.terminal.storage import SharedStorage

BUY = [1, 0, 0, "EURUSD", 0.01, 0.0, 0.0, 0.0, 0.0, 20, 0, 1, 0, 0, "mine", 0, 0]
SERVER, LOGIN = "Simulator-Demo", 7
ORDERS = 50


@pytest.fixture
def place():
    """Return where a keeper listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve = keeper.Keeper().serve
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()


@pytest.fixture
def books():
    """Make storages at a place, which end with the test."""
    with contextlib.ExitStack() as open_:
        yield lambda place: open_.enter_context(contextlib.closing(SharedStorage(place)))


@pytest.fixture
def terminal(terminals, books, place):
    """Make terminals that are logged in to the same account."""

    def make():
        found = terminals(books(place))
        assert found.login(LOGIN, SERVER) == "ready"
        return found

    return make


def tickets(terminal) -> set[int]:
    return {row[0] for row in terminal.ask("positions_get", "", 0, "")}


def deals(terminal) -> list[tuple]:
    return terminal.ask("history_deals_get", 0, 2**31, "", 0, 0)


def test_what_one_terminal_trades_the_other_has(terminal):
    one, other = terminal(), terminal()
    before = tickets(other)

    ticket = one.ask("order_send", BUY)[2]

    assert tickets(other) == before | {ticket}
    assert deals(other) == deals(one)


def test_a_terminal_that_comes_later_has_what_was_traded_before(terminal):
    ticket = terminal().ask("order_send", BUY)[2]

    assert ticket in tickets(terminal())


def test_terminals_that_trade_at_once_lose_no_order(terminal):
    both = [terminal(), terminal()]
    before = len(deals(both[0]))

    def trade(one) -> None:
        for _ in range(ORDERS):
            one.ask("order_send", BUY)

    threads = [threading.Thread(target=trade, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = deals(both[0])
    assert len(found) == before + 2 * ORDERS
    assert len({deal[0] for deal in found}) == len(found)


def test_who_ends_in_the_middle_of_a_turn_holds_nobody_up_and_changed_nothing(terminal, place):
    one = terminal()
    before = deals(one)
    killed = socket.create_connection(place)
    keeper.take(killed, SERVER, LOGIN, netting=False, known=0)

    killed.close()

    assert deals(one) == before


def test_a_keeper_that_is_away_is_a_call_without_an_answer_and_then_it_is_asked_again(
    terminals, books
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = listener.getsockname()
    one = terminals(books(place))
    one.calls.answer("login", [LOGIN, SERVER, "x"])
    one.now_ms += 100
    assert one.calls.answer("verdict", [])[:2] == (-10002, "IPC recv failed")

    with socket.create_server(place) as listener:
        threading.Thread(target=keeper.Keeper().serve, args=(listener,), daemon=True).start()
        one.passes(100)

        assert one.session.verdict()[0] == "ready"
        assert tickets(one)


def test_it_is_a_process_that_shows_books_as_json(terminals, books):
    command = [sys.executable, "-m", "mt5_simulator.keeper"]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    port = process.stdout.readline().split()[-1]
    one = terminals(books(("127.0.0.1", int(port))))
    one.login(LOGIN, SERVER)
    ticket = one.ask("order_send", BUY)[2]

    shown = subprocess.run(
        [*command, "--listen", f"127.0.0.1:{port}", "--show", SERVER, str(LOGIN)],
        capture_output=True,
        check=True,
    )
    process.terminate()
    process.communicate(timeout=20)

    book = json.loads(shown.stdout)
    assert [deal["order"] for deal in book["deals"]][-1] == ticket
    assert process.returncode == 0


def test_an_address_is_host_and_port():
    assert keeper.address("broker.mt5:9700") == ("broker.mt5", 9700)
    assert keeper.address("[::1]:9700") == ("::1", 9700)
    with pytest.raises(ValueError, match="host:port"):
        keeper.address("9700")
