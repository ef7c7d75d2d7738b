# SPDX-License-Identifier: Apache-2.0
"""The board's promise, for any history: from any seq, the delta leads to what is there now."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mt5_sidecar.streams import board as board_module
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.messages import changes

BODIES = st.dictionaries(st.sampled_from("123456"), st.integers(0, 3), max_size=6)


def as_json(bodies: dict[str, int]) -> dict[str, bytes]:
    return {key: b'{"ticket":%b,"n":%d}' % (key.encode(), n) for key, n in bodies.items()}


def view(board: Board) -> dict[str, int]:
    return {key: json.loads(item.body)["n"] for key, item in board.items("positions").items()}


def applied(before: dict[str, int], board: Board, since: int) -> dict[str, int]:
    body = changes("positions", board.delta("positions", since=since))
    news = json.loads(body) if body else {"changed": [], "removed": []}
    after = {key: n for key, n in before.items() if int(key) not in news["removed"]}
    return after | {str(item["ticket"]): item["n"] for item in news["changed"]}


@given(st.lists(st.tuples(st.booleans(), BODIES), max_size=12))
def test_whoever_heard_up_to_any_seq_gets_to_the_present_by_the_delta(history) -> None:
    board = Board(max_events=4)
    heard = {0: {}}
    for whole, bodies in history:
        put = board.replace if whole else board.update
        put("positions", as_json(bodies))
        heard[board.seq] = view(board)

    for seq, seen in heard.items():
        # Who has heard nothing begins with a snapshot.
        assert board.can_resume(seq) == (seq > 0)
        assert applied(seen, board, seq) == view(board)


def test_an_unchanged_account_makes_no_news() -> None:
    board = Board(max_events=4)

    assert board.replace("positions", {}) is True
    assert board.replace("positions", {}) is False
    assert board.replace("positions", as_json({"1": 1})) is True
    assert board.replace("positions", as_json({"1": 1})) is False
    assert board.update("positions", as_json({"1": 1})) is False
    assert board.seq == 2


def test_only_what_changed_is_told() -> None:
    board = Board(max_events=4)
    board.replace("positions", as_json({"1": 1, "2": 2}))
    seq = board.seq

    board.replace("positions", as_json({"2": 3, "4": 4}))

    body = changes("positions", board.delta("positions", since=seq))
    assert json.loads(body or b"") == {
        "changed": [{"ticket": 2, "n": 3}, {"ticket": 4, "n": 4}],
        "removed": [1],
    }


def test_events_come_once_and_in_order() -> None:
    board = Board(max_events=4)
    seqs = [board.happened("deal", b"%d" % n).seq for n in range(3)]

    assert [event.body for event in board.events_since(seqs[0])] == [b"1", b"2"]
    assert board.events_since(seqs[-1]) == []


def test_a_lost_event_is_admitted() -> None:
    board = Board(max_events=2)
    seqs = [board.happened("deal", b"%d" % n).seq for n in range(4)]

    assert not board.can_resume(seqs[0])
    assert board.can_resume(seqs[1])


def test_a_lost_removal_is_admitted(monkeypatch) -> None:
    monkeypatch.setattr(board_module, "MOST_MARKERS", 1)
    board = Board(max_events=2)
    board.replace("positions", as_json({"1": 1, "2": 2}))
    seq = board.seq

    board.replace("positions", as_json({"2": 2}))
    assert board.can_resume(seq)
    board.replace("positions", {})

    assert not board.can_resume(seq)


def test_the_future_and_nothing_cannot_be_resumed() -> None:
    board = Board(max_events=2)

    assert not board.can_resume(0)
    assert not board.can_resume(1)
