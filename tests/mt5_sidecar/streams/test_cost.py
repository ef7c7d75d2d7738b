# SPDX-License-Identifier: Apache-2.0
"""What a stream costs against the usual way: a message made, and kept, for each client.

By CPU time of this thread and by bytes of this process, so that neighbours have no part in it.
`bench.fanout` compares whole servers, kernel and all.
"""

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from sidecar_rig import Rig

from mt5_sidecar.metrics import Metrics
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.channels import Choice
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.frame import text_frame
from mt5_sidecar.streams.hub import Hub

CLIENTS = 100
POSITIONS = 20
ROUNDS = 7
SLOW_FOR = 50  # changes


class Wire:
    """Takes what it is given and keeps nothing; `reads` is whether anybody does."""

    def __init__(self, *, reads: bool) -> None:
        self.heard = 0
        self._pending = 0 if reads else 1 << 30

    def send(self, frame: bytes) -> None:
        self.heard += len(frame) > 5000

    def pending_bytes(self) -> int:
        return self._pending

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


def position(number: int, step: int) -> dict[str, Any]:
    """Return a position of about 370 bytes that another step changes."""
    names = (
        "volume",
        "price_open",
        "price_current",
        "sl",
        "tp",
        "swap",
        "profit",
        "magic",
        "reason",
    )
    times = dict.fromkeys(("time", "time_update"), "2026-11-21T10:00:00.000Z")
    figures = dict.fromkeys(names, 1.08 + number + step / 1000)
    return {"ticket": number, "symbol": "EURUSD", "side": "buy", **times, **figures}


def account(step: int) -> list[dict[str, Any]]:
    return [position(number, step) for number in range(POSITIONS)]


class Stage:
    """A hub with an audience."""

    def __init__(self, folder: Path, *, reads: bool) -> None:
        self.board = Board(max_events=8)
        settings = Rig(folder, ws_stall_timeout_s=1e9).settings
        self.hub = Hub(settings, self.board, Metrics().streams, status=lambda: b"{}")
        self.wires = [Wire(reads=reads) for _ in range(CLIENTS)]
        for wire in self.wires:
            self.hub.join(Client(wire, Choice(), interval_ms=0, seq=self.board.seq))

    def change(self, seen: list[dict[str, Any]]) -> None:
        """Do what a new snapshot does, its encoding included."""
        self.board.replace(
            "positions", {str(each["ticket"]): json.dumps(each).encode() for each in seen}
        )
        self.hub.changed()


def cpu_s(act: Callable[[int], None]) -> float:
    """Return the middle CPU time of `act`, whose argument changes each time."""
    spent_s = []
    for step in range(ROUNDS + 1):
        began_s = time.thread_time()
        act(step)
        spent_s.append(time.thread_time() - began_s)
    return median(spent_s[1:])


async def test_telling_everybody_takes_a_tenth_of_a_message_made_for_each(tmp_path: Path) -> None:
    stage = Stage(tmp_path, reads=True)

    def for_each(step: int) -> None:
        seen = account(step)
        for _ in range(CLIENTS):
            text_frame(json.dumps({"type": "positions", "data": {"changed": seen}}).encode())

    ours_s, theirs_s = cpu_s(lambda step: stage.change(account(step))), cpu_s(for_each)

    assert all(wire.heard == ROUNDS + 1 for wire in stage.wires)
    assert ours_s < theirs_s / 10


async def test_clients_that_do_not_read_hold_a_twentieth_of_a_queue_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, reads=False)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)  # nobody's patience ends
    queues: list[list[bytes]] = [[] for _ in range(CLIENTS)]

    def kept(act: Callable[[int], None]) -> int:
        tracemalloc.start()
        for step in range(SLOW_FOR):
            act(step)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    def queue_for_each(step: int) -> None:
        # Even one encoding for all: what is queued is the frame of each client.
        text = json.dumps({"type": "positions", "data": {"changed": account(step)}}).encode()
        for queue in queues:
            queue.append(bytes(bytearray(text_frame(text))))

    ours, theirs = kept(lambda step: stage.change(account(step))), kept(queue_for_each)

    assert theirs > CLIENTS * SLOW_FOR * 5000
    assert ours < theirs / 20
