# SPDX-License-Identifier: Apache-2.0
"""Snapshots are told when they differ, and replaced when nobody took them."""

import msgspec
import pytest

from mt5_agent import protocol
from mt5_agent.board import Board


def raw(value):
    return msgspec.Raw(msgspec.msgpack.encode(value))


def tick(bid):
    return raw([1, bid, bid, 0.0, 0, 1000, 6, 0.0])


@pytest.fixture
def board():
    return Board(lambda: None)


def test_equal_looks_are_told_once(board):
    board.put("orders", raw([]))
    first = board.take()

    board.put("orders", raw([]))

    assert [(s.kind, s.version) for s in first] == [("orders", 1)]
    assert board.take() == []


def test_a_slow_sidecar_gets_the_newest_and_sees_how_many_it_missed(board):
    for number in range(3):
        board.put("positions", raw([number]))

    [snapshot] = board.take()

    assert snapshot.version == 3
    assert msgspec.msgpack.decode(snapshot.data) == [2]


def test_ticks_hold_only_the_symbols_that_moved(board):
    board.put_ticks({"A": tick(1.0), "B": tick(1.0)})
    board.take()

    board.put_ticks({"A": tick(1.0), "B": tick(2.0)})

    [snapshot] = board.take()
    assert {n: t.bid for n, t in protocol.decode_snapshot(snapshot).items()} == {"B": 2.0}


def test_a_new_sidecar_is_told_everything(board):
    board.put("orders", raw([]))
    board.put_ticks({"A": tick(1.0), "B": tick(1.0)})
    board.take()

    board.retell()

    orders, ticks = board.take()
    assert (orders.kind, orders.version) == ("orders", 1)
    assert list(protocol.decode_snapshot(ticks)) == ["A", "B"]


def test_what_was_cleared_is_never_told(board):
    board.put("orders", raw([]))
    board.put_ticks({"A": tick(1.0)})

    board.clear()
    board.retell()

    assert board.take() == []


def test_only_what_changed_since_an_earlier_look_counts_as_moved(board):
    first = board.put_ticks({"A": tick(1.0), "B": tick(1.0)})
    second = board.put_ticks({"A": tick(1.0), "B": tick(2.0), "C": tick(1.0)})

    assert (first, second) == (set(), {"B"})


def test_a_symbol_that_is_watched_again_is_told_again_though_it_did_not_move(board):
    board.put_ticks({"A": tick(1.0), "B": tick(1.0)})
    board.take()

    board.keep_ticks(["B"])
    moved = board.put_ticks({"A": tick(1.0), "B": tick(1.0)})

    [snapshot] = board.take()
    assert list(protocol.decode_snapshot(snapshot)) == ["A"]
    assert moved == set()  # it was not seen to move, so it says nothing of the broker's clock


def test_what_nobody_watches_any_more_is_not_told(board):
    board.put_ticks({"A": tick(1.0), "B": tick(1.0)})

    board.keep_ticks(["B"])

    [snapshot] = board.take()
    assert list(protocol.decode_snapshot(snapshot)) == ["B"]


def test_what_is_too_large_for_a_frame_is_named_and_neither_it_nor_the_look_before_is_told():
    board = Board(lambda: None, most_bytes=100)
    board.put("positions", raw([1]))
    board.put("orders", raw([2]))

    board.put("positions", raw(["x" * 100]))
    first, named = board.take(), board.unshown
    board.retell()
    again = board.take()
    board.put("positions", raw([1]))

    assert named == ("positions",)
    assert [s.kind for s in first] == [s.kind for s in again] == ["orders"]
    assert board.unshown == ()
    assert [msgspec.msgpack.decode(s.data) for s in board.take()] == [[1]]


def test_what_is_just_small_enough_fits_a_frame():
    board = Board(lambda: None)
    board.put("positions", msgspec.Raw(b"x" * protocol.MAX_SNAPSHOT_BYTES))

    [snapshot] = board.take()

    assert len(protocol.encode(snapshot)) > protocol.MAX_SNAPSHOT_BYTES


def test_nothing_of_an_account_is_too_large_for_the_next_one():
    board = Board(lambda: None, most_bytes=1)
    board.put("positions", raw([1, 2]))

    board.clear()

    assert board.unshown == ()
