# SPDX-License-Identifier: Apache-2.0
"""The hub among clients that are quick, slow and dead; wires and clock are the test's."""

import asyncio
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sidecar_rig import Rig

from mt5_sidecar.metrics import Metrics
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.channels import ACCOUNT_KEY, CHANNELS, Choice
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.frame import text_frame
from mt5_sidecar.streams.hub import AT_ONCE, Hub


class FakeWire:
    """Takes frames; `pending` is what the test says the network has not taken."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pending = 0
        self.closed: tuple[int, str] | None = None

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def pending_bytes(self) -> int:
        return self.pending

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(frame[frame.index(b'{"') :]) for frame in self.frames]


class Stage:
    """A board, a hub and the loop's clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Rig(folder, ws_stall_timeout_s=10, ws_max_pending_events=3).settings
        self.board = Board(max_events=8)
        for channel in CHANNELS:  # all is known from the beginning
            self.board.replace(channel, {ACCOUNT_KEY: b"{}"} if channel == "account_info" else {})
        self.metrics = Metrics().streams
        self.hub = Hub(self.settings, self.board, self.metrics, status=lambda: b"{}")
        self.now_s = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s)

    def client(self, *, interval_ms: int = 0, choice: Choice | None = None) -> Client:
        wire = FakeWire()
        client = Client(wire, choice or Choice(), interval_ms=interval_ms, seq=self.board.seq)
        self.hub.join(client)
        return client

    def position(self, n: int) -> None:
        self.board.replace("positions", {"1": b'{"ticket":1,"n":%d}' % n})
        self.hub.changed()

    def event(self, n: int) -> None:
        self.board.happened("deal", b'{"n":%d}' % n)
        self.hub.changed(urgent=True)


def test_who_chose_alike_has_the_same_choice() -> None:
    """Compared for every client at every change: equal ones are told apart by nothing else."""
    clients = [
        Client(FakeWire(), Choice(frozenset([*CHANNELS])), interval_ms=0, seq=0) for _ in range(2)
    ]
    clients[0].choose(clients[0].choice.without(frozenset({"orders"}), None))
    assert clients[0].choice != clients[1].choice

    clients[0].choose(clients[0].choice.adding(frozenset({"orders"}), None))

    assert clients[0].choice is clients[1].choice


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def numbers(client: Client, type_: str) -> list[int]:
    wire: Any = client.wire
    told = [m["data"] for m in wire.messages if m["type"] == type_]
    return [(data["changed"][0] if "changed" in data else data)["n"] for data in told]


async def test_every_change_reaches_who_wants_every_change(stage: Stage) -> None:
    client = stage.client()

    for n in range(3):
        stage.position(n)

    assert numbers(client, "positions") == [0, 1, 2]


async def test_a_change_is_encoded_once_for_all(stage: Stage) -> None:
    clients = [stage.client() for _ in range(50)]

    stage.position(1)

    assert len({id(client.wire.frames[-1]) for client in clients}) == 1


async def test_a_slow_client_gets_the_last_state_and_no_other_waits(stage: Stage) -> None:
    slow, quick = stage.client(), stage.client()
    slow.wire.pending = 10**9

    for n in range(5):
        stage.position(n)
    slow.wire.pending = 0
    stage.hub.sweep()

    assert numbers(quick, "positions") == [0, 1, 2, 3, 4]
    assert numbers(slow, "positions") == [4]


async def test_a_slow_client_gets_every_event_in_order(stage: Stage) -> None:
    slow = stage.client()
    slow.wire.pending = 10**9

    for n in range(3):
        stage.event(n)
        stage.position(n)
    slow.wire.pending = 0
    stage.hub.sweep()

    assert numbers(slow, "deal") == [0, 1, 2]
    assert numbers(slow, "positions") == [2]
    assert slow.wire.closed is None


async def test_a_client_that_would_lose_events_is_closed_4008_and_nobody_else(stage: Stage) -> None:
    slow, quick = stage.client(), stage.client()
    slow.wire.pending = 10**9

    for n in range(4):
        stage.event(n)

    assert slow.wire.closed is not None
    assert slow.wire.closed[0] == 4008
    assert quick.wire.closed is None
    assert numbers(quick, "deal") == [0, 1, 2, 3]


async def test_a_client_that_reads_nothing_for_too_long_is_closed_4008(stage: Stage) -> None:
    slow, quick = stage.client(), stage.client()
    slow.wire.pending = 10**9

    stage.position(1)
    stage.now_s = 9.9
    stage.hub.sweep()
    assert slow.wire.closed is None
    stage.now_s = 10.0
    stage.hub.sweep()

    assert slow.wire.closed == (4008, "too slow: nothing was read for too long")
    assert quick.wire.closed is None


async def test_a_client_that_catches_up_in_time_is_left_alone(stage: Stage) -> None:
    client = stage.client()
    for start_s in (0.0, 9.0, 18.0):
        stage.now_s = start_s
        client.wire.pending = 10**9
        stage.position(int(start_s))
        client.wire.pending = 0
        stage.now_s = start_s + 1
        stage.hub.sweep()

    assert client.wire.closed is None


async def test_an_interval_bounds_how_often_and_loses_nothing(stage: Stage) -> None:
    client = stage.client(interval_ms=500)
    stage.position(1)
    for n in (2, 3):
        stage.now_s += 0.1
        stage.position(n)
    assert numbers(client, "positions") == [1]

    stage.now_s = 0.6
    stage.position(4)

    assert numbers(client, "positions") == [1, 4]


async def test_another_interval_takes_the_place_of_the_one_before(stage: Stage) -> None:
    client = stage.client()
    stage.position(1)

    stage.hub.regroup(client, interval_ms=1000)
    stage.position(2)
    stage.position(3)
    told = numbers(client, "positions")
    stage.hub.leave(client)

    assert told == [1, 2]  # the third waits for the interval
    assert stage.hub.clients == []


async def test_what_changed_within_an_interval_comes_at_its_end_without_another_change(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda s, act, *args: later.append((s, act, args)))
    client = stage.client(interval_ms=500)
    stage.position(1)
    stage.now_s = 0.1
    stage.position(2)

    ((after_s, act, args),) = later
    stage.now_s += after_s
    act(*args)

    assert after_s == pytest.approx(0.4)
    assert numbers(client, "positions") == [1, 2]


async def test_an_event_does_not_wait_for_the_interval_and_brings_the_state_along(
    stage: Stage,
) -> None:
    client = stage.client(interval_ms=500)
    stage.position(1)
    stage.now_s = 0.1
    stage.position(2)
    stage.event(7)

    assert numbers(client, "positions") == [1, 2]
    assert numbers(client, "deal") == [7]


async def test_an_event_begins_the_interval_anew(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda *_: timers.append(Mock()) or timers[-1])
    stage.client(interval_ms=500)
    stage.position(1)
    stage.now_s = 0.1
    stage.position(2)
    stage.event(7)

    assert [timer.cancel.called for timer in timers] == [True]
    stage.now_s = 0.5  # 0.4 after the event: too early again
    stage.position(3)
    assert [timer.cancel.called for timer in timers] == [True, False]


async def test_seq_moves_only_with_the_last_message_of_a_flush(stage: Stage) -> None:
    slow = stage.client()
    before = stage.board.seq
    slow.wire.pending = 10**9
    stage.board.replace("positions", {"1": b'{"n":1}'})
    stage.board.update("tick_data", {"EURUSD": b'{"n":1}'})
    stage.event(1)
    slow.wire.pending = 0
    stage.hub.sweep()

    assert [m["seq"] for m in slow.wire.messages] == [before, before, stage.board.seq]


async def test_removals_too_many_to_list_are_told_by_a_snapshot(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mt5_sidecar.streams.board.MOST_MARKERS", 2)
    stage.board.replace("orders", {str(n): b'{"ticket":%d}' % n for n in range(5)})
    client = stage.client()

    stage.board.replace("orders", {})
    stage.hub.changed()

    assert [m["type"] for m in client.wire.messages] == ["snapshot"]
    assert client.wire.messages[-1]["data"]["orders"] == []


async def test_a_choice_is_kept(stage: Stage) -> None:
    client = stage.client(choice=Choice(frozenset({"tick_data"}), frozenset({"EURUSD"})))

    stage.position(1)
    stage.board.update("tick_data", {"XAUUSD": b'{"n":1}'})
    stage.hub.changed()
    stage.board.update("tick_data", {"EURUSD": b'{"n":2}'})
    stage.hub.changed()

    assert [m["type"] for m in client.wire.messages] == ["tick_data"]
    assert numbers(client, "tick_data") == [2]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_frames_are_as_the_rfc_has_them(size: int) -> None:
    payload = b"x" * size

    frame = text_frame(payload)

    head = {True: 2, size >= 126: 4, size >= 65536: 10}[True]
    assert frame[0] == 0x81
    assert frame[head:] == payload
    assert int.from_bytes(frame[2:head] if size >= 126 else frame[1:2]) == size


def test_taking_away_symbols_leaves_the_others() -> None:
    two = Choice(frozenset(CHANNELS), frozenset({"A", "B"}))

    one = two.without(frozenset({"tick_data"}), frozenset({"A"}))
    none = one.without(frozenset({"tick_data"}), frozenset({"B"}))

    assert one.symbols == {"B"}
    assert "tick_data" in one.channels
    assert "tick_data" not in none.channels
    assert "positions" in none.channels


async def test_state_that_a_slow_client_is_spared_is_counted_in_bytes_once(stage: Stage) -> None:
    slow, quick = stage.client(), stage.client()
    conflated = stage.metrics.conflated_bytes._value.get
    body = len(b'{"changed":[{"ticket":1,"n":1}],"removed":[]}')
    pending(slow, 1 << 20)

    for n in (1, 2):
        stage.position(n)
    stage.hub.sweep()  # looks at who is slow, and there is nothing new
    assert conflated() == 2 * body

    stage.event(3)  # is not conflated: it waits
    assert conflated() == 2 * body

    pending(slow, 0)
    stage.position(4)
    stage.position(5)
    assert numbers(slow, "positions") == [4, 5]
    assert conflated() == 2 * body
    assert numbers(quick, "positions") == [1, 2, 4, 5]


def pending(client: Client, count: int) -> None:
    wire: Any = client.wire
    wire.pending = count


async def turn() -> None:
    """Let the loop do once what is due."""
    await asyncio.sleep(0)


def heard(clients: list[Client]) -> list[list[int]]:
    return [numbers(client, "positions") for client in clients]


async def test_many_clients_are_told_in_several_turns_so_that_others_are_served_between(
    stage: Stage,
) -> None:
    clients = [stage.client() for _ in range(2 * AT_ONCE + 1)]

    stage.position(1)
    told = [sum(map(bool, heard(clients)))]
    for _ in range(2):
        await turn()
        told.append(sum(map(bool, heard(clients))))

    assert told == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1]


async def test_what_changes_between_two_turns_is_told_to_everybody_once_and_in_order(
    stage: Stage,
) -> None:
    clients = [stage.client() for _ in range(2 * AT_ONCE)]

    stage.position(1)
    stage.event(7)
    await turn()
    stage.position(2)
    for _ in range(4):
        await turn()

    assert all(told in ([1, 2], [2]) for told in heard(clients))
    assert all(numbers(client, "deal") == [7] for client in clients)
    seqs = [[m["seq"] for m in client.wire.messages] for client in clients]  # type: ignore[attr-defined]
    assert all(told == sorted(told) and told[-1] == stage.board.seq for told in seqs)


async def test_who_would_lose_events_while_it_waits_for_its_turn_is_closed_4008(
    stage: Stage,
) -> None:
    """It is not slow itself: there are just more events in one turn than are kept for anybody."""
    clients = [stage.client() for _ in range(AT_ONCE + 2)]

    for n in range(9):
        stage.event(n)
    late = [c for c in clients if not numbers(c, "deal")]
    await turn()

    assert len(late) == 2
    for client in late:
        wire: Any = client.wire
        assert wire.closed == (4008, "too slow: events would be lost")
        assert numbers(client, "deal") == []  # all of them or none: a part would be taken for all
    in_time = [client for client in clients if client not in late]
    assert all(numbers(client, "deal") == [*range(9)] for client in in_time)


async def test_who_leaves_or_is_closed_between_two_turns_is_told_nothing_more(
    stage: Stage,
) -> None:
    clients = [stage.client() for _ in range(AT_ONCE + 2)]

    stage.position(1)
    late = [c for c in clients if not numbers(c, "positions")]
    for client in late:
        client.close(4008, "meanwhile")
        stage.hub.leave(client)
    await turn()

    assert len(late) == 2
    assert heard(late) == [[], []]
