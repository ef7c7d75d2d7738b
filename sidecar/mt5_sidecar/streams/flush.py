# SPDX-License-Identifier: Apache-2.0
"""What a client gets to be up to date, made once for all who need the same.

Clients of one interval are at the same `seq` and mostly want the same: their frames are the
same bytes. The cache holds the frames of this flush only, and is empty again after it.
"""

from collections.abc import Callable
from typing import NamedTuple

from mt5_sidecar.streams import messages
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.channels import CHANNELS, Channel, Choice
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.frame import text_frame


class Part(NamedTuple):
    """A message without its envelope."""

    type: str
    body: bytes
    event: int | None = None


class Outgoing(NamedTuple):
    """One frame, and what it is for the metrics."""

    type: str
    frame: bytes


Need = tuple[int, frozenset[Channel] | None, Choice]


class Flush:
    """The frames that lead from any `seq` to the board of this moment."""

    def __init__(self, board: Board, *, status: Callable[[], bytes], now_ms: int) -> None:
        self._board = board
        self._status = status
        self._now_ms = now_ms
        self._made: dict[Need, list[Outgoing]] = {}

    def frames(self, client: Client) -> list[Outgoing]:
        """Return the frames that bring `client` up to date; none when it is."""
        need = (client.seq, client.wants, client.choice)
        made = self._made.get(need)
        if made is None:
            made = self._made[need] = self._make(*need)
        return made

    def state_bytes(self, client: Client) -> int:
        """Return how much state there is for `client` since it was last looked at; events wait for
        it, so they are not counted."""
        since = max(client.seq, client.passed_seq)
        parts = self._parts(since, None, client.choice) if since < self._board.seq else []
        return sum(len(part.body) for part in parts)

    def _make(self, since: int, wants: frozenset[Channel] | None, choice: Choice) -> list[Outgoing]:
        parts = self._parts(since, wants, choice)
        parts += [
            Part(e.type, e.body, e.seq)
            for e in self._board.events_since(since)
            if choice.hears(e.type)
        ]
        last = len(parts) - 1
        return [
            self._framed(part, seq=self._board.seq if n == last else since)
            for n, part in enumerate(parts)
        ]

    def _parts(self, since: int, wants: frozenset[Channel] | None, choice: Choice) -> list[Part]:
        parts = []
        whole = self._whole(since, wants or frozenset(), choice.channels)
        if wants is not None or whole:
            seen = Choice(whole, choice.symbols)
            parts.append(Part("snapshot", messages.snapshot(self._board, seen, self._status())))
        for channel in CHANNELS:
            if channel in choice.channels and channel not in whole:
                keys = choice.symbols if channel == "tick_data" else None
                delta = self._board.delta(channel, since=since, keys=keys)
                body = messages.changes(channel, delta)
                parts += [Part(channel, body)] if body is not None else []
        return parts

    def _whole(
        self, since: int, wants: frozenset[Channel], chosen: frozenset[Channel]
    ) -> frozenset[Channel]:
        """Return the channels to be told in full. Of what the terminal has not told yet there is
        nothing to tell: "no positions" would be a claim."""
        board = self._board
        return frozenset(
            channel
            for channel in chosen
            if board.version(channel) and (channel in wants or board.is_news(channel, since=since))
        )

    def _framed(self, part: Part, *, seq: int) -> Outgoing:
        head = {"seq": seq, "now_ms": self._now_ms}
        if part.event is None:
            payload = messages.message(part.type, part.body, **head)
        else:
            payload = messages.event(part.type, part.body, number=part.event, **head)
        return Outgoing(part.type, text_frame(payload))
