# SPDX-License-Identifier: Apache-2.0
"""R5 as a state machine: listeners lose frames, stall, vanish and come back, several at once.

What each has been told must be what is true, or it must have been told that something is missing.
"""

import asyncio
import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from mt5_sidecar.metrics import Metrics
from mt5_sidecar.settings_model import Settings
from mt5_sidecar.streams import board as board_module
from mt5_sidecar.streams.board import NOTHING_YET, Board
from mt5_sidecar.streams.channels import ACCOUNT_KEY, CHANNELS, Channel, Choice
from mt5_sidecar.streams.client import Client
from mt5_sidecar.streams.codes import Close
from mt5_sidecar.streams.hub import Hub

BUFFER_BYTES = 1000
FEW_EVENTS, FEW_PENDING, FEW_MARKERS = 8, 5, 4
METRICS = Metrics().streams
STATUS = b'{"state":"Connected"}'
SOME_CHANNELS = st.frozensets(st.sampled_from(CHANNELS))
SOME_SYMBOLS = st.none() | st.frozensets(st.sampled_from("123456789"), min_size=1)
COLLECTIONS: tuple[Channel, ...] = ("positions", "orders", "tick_data")


class Wire:
    """A connection whose frames arrive when the test lets them, and may break amid a flush."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.code: int | None = None

    def send(self, frame: bytes) -> None:
        self.waiting.append(frame)

    def pending_bytes(self) -> int:
        return sum(map(len, self.waiting))

    def close(self, code: int, reason: str) -> None:
        self.code = code


class Listener:
    """A client that follows docs/api.md, and knows no more than what arrived."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.epoch, self.seq = "", 0
        self.state: dict[str, dict[str, Any]] = {}
        """What it was told in full, and what became of that."""
        self.events: list[int] = []
        """Numbers of the events since the last point at which it was told of a gap."""
        self.since = 0
        self.client: Client | None = None

    @property
    def wire(self) -> Wire:
        assert self.client is not None
        assert isinstance(self.client.wire, Wire)
        return self.client.wire

    def read(self, most: int) -> None:
        arrived, self.wire.waiting[:] = self.wire.waiting[:most], self.wire.waiting[most:]
        for frame in arrived:
            self._hear(json.loads(frame[frame.index(b'{"') :]))

    def choose(self, choice: Choice) -> None:
        """Have what it has of `choice`, and forget the rest."""
        self.choice = choice
        self.state = {c: items for c, items in self.state.items() if c in choice.channels}
        if choice.symbols is not None and "tick_data" in self.state:
            ticks = self.state["tick_data"]
            self.state["tick_data"] = {k: ticks[k] for k in ticks.keys() & choice.symbols}

    def _hear(self, message: dict[str, Any]) -> None:
        type_, data = message["type"], message["data"]
        if type_ == "snapshot":
            self._begin(data)
        elif "event" in message:
            if not self.events or message["event"] > self.events[-1]:
                self.events.append(message["event"])
        elif type_ == "account_info":
            self.state[type_] = {ACCOUNT_KEY: data}
        else:
            self._change(type_, data)
        self.seq = message["seq"]

    def _begin(self, whole: dict[str, Any]) -> None:
        for channel in whole.keys() - {"status"}:
            if channel == "account_info":
                self.state[channel] = {ACCOUNT_KEY: whole[channel]}
            else:
                self.state[channel] = {item["key"]: item for item in whole[channel]}

    def _change(self, channel: str, news: dict[str, Any]) -> None:
        for key in news["removed"]:
            self.state[channel].pop(str(key), None)
        for item in news["changed"]:
            self.state[channel][item["key"]] = item


class Streams(RuleBasedStateMachine):
    """One board, and listeners of several kinds."""

    listeners = Bundle("listeners")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.markers = board_module.MOST_MARKERS
        board_module.MOST_MARKERS = FEW_MARKERS  # type: ignore[misc]
        self.settings = Settings(
            account_id="1", login=1, server="s", ws_write_buffer_bytes=BUFFER_BYTES,
            ws_max_pending_events=FEW_PENDING, ws_ring_events=FEW_EVENTS,
        )  # fmt: skip
        self.all: list[Listener] = []
        self.number = 0
        self.lives = 0
        self.truth: dict[Channel, dict[str, bytes]] = {channel: {} for channel in CHANNELS}
        self.truth["account_info"] = {ACCOUNT_KEY: self.body("")}
        self.happened: list[int] = []
        self.new_pod()

    def new_pod(self, known: frozenset[Channel] = frozenset(CHANNELS)) -> None:
        self.lives += 1
        self.board = Board(max_events=FEW_EVENTS, epoch=f"life-{self.lives}")
        self.happened = []
        self.hub = Hub(self.settings, self.board, METRICS, status=lambda: STATUS, clock=lambda: 0)
        for channel in known:
            self.board.replace(channel, self.truth[channel])

    def tell(self, *, urgent: bool = False) -> None:
        async def now() -> None:
            self.hub.changed(urgent=urgent)

        self.loop.run_until_complete(now())

    def body(self, key: str) -> bytes:
        self.number += 1
        return json.dumps({"key": key, "value": self.number}).encode()

    # What happens to the account.

    @rule(channel=st.sampled_from(COLLECTIONS), keys=st.lists(st.integers(1, 9), max_size=5))
    def becomes(self, channel: Channel, keys: list[int]) -> None:
        before = self.truth[channel]
        kept = {str(k): before.get(str(k)) or self.body(str(k)) for k in keys}
        if keys:
            kept[str(keys[0])] = self.body(str(keys[0]))
        self.truth[channel] = kept
        self.board.replace(channel, kept)
        self.tell()

    @rule(key=st.integers(1, 9))
    def ticks(self, key: int) -> None:
        new = {str(key): self.body(str(key))}
        self.truth["tick_data"] = self.truth["tick_data"] | new
        self.board.update("tick_data", self.truth["tick_data"])
        self.tell()

    @rule()
    def account_moves(self) -> None:
        self.truth["account_info"] = {ACCOUNT_KEY: self.body("")}
        self.board.replace("account_info", self.truth["account_info"])
        self.tell()

    @rule(times=st.integers(1, FEW_EVENTS + 2))
    def events(self, times: int) -> None:
        for _ in range(times):
            self.happened.append(self.board.happened("deal", self.body("deal")).seq)
            self.tell(urgent=True)

    # What happens to clients.

    @rule(target=listeners, account=st.booleans())
    def connect(self, account: bool) -> Listener:  # noqa: FBT001  a choice
        listener = Listener(Choice(account=account))
        self.all.append(listener)
        self.join(listener)
        return listener

    @rule(listener=listeners, most=st.integers(1, 6))
    def read(self, listener: Listener, most: int) -> None:
        if listener.client is not None:
            listener.read(most)

    @rule(listener=listeners)
    def read_all(self, listener: Listener) -> None:
        self.catch_up(listener)

    @rule(listener=listeners, arrives=st.integers(0, 4))
    def connection_breaks(self, listener: Listener, arrives: int) -> None:
        if listener.client is not None:
            listener.read(arrives)
            self.hub.leave(listener.client)
            listener.client = None

    @rule(listener=listeners, channels=SOME_CHANNELS, symbols=SOME_SYMBOLS, other=st.booleans())
    def come_back(
        self,
        listener: Listener,
        channels: frozenset[Channel],
        symbols: frozenset[str] | None,
        other: bool,  # noqa: FBT001  a choice
    ) -> None:
        if listener.client is None:
            if other:
                listener.choose(Choice(channels, symbols, listener.choice.account))
            self.join(listener)

    @rule(listener=listeners, channels=SOME_CHANNELS, symbols=SOME_SYMBOLS)
    def subscribe(
        self, listener: Listener, channels: frozenset[Channel], symbols: frozenset[str] | None
    ) -> None:
        """Do as `api.subscriptions` does."""
        if listener.client is None or not channels:
            return
        client = listener.client
        if not client.choice.account:
            listener.since = client.seq
        client.choose(client.choice.adding(channels, symbols))
        listener.choice = client.choice
        client.wants = (client.wants or frozenset()) | channels
        self.board.step()
        self.bring_up_to_date(client)

    @rule(listener=listeners, channels=SOME_CHANNELS)
    def unsubscribe(self, listener: Listener, channels: frozenset[Channel]) -> None:
        """Do as `api.subscriptions` does; the answer is heard after all that was said before it."""
        if listener.client is None:
            return
        client = listener.client
        client.choose(client.choice.without(channels, None))
        client.place.keeps(client.choice)
        listener.read(len(listener.wire.waiting))
        listener.choose(client.choice)

    @rule(known=st.frozensets(st.sampled_from(CHANNELS)))
    def pod_is_replaced(self, known: frozenset[Channel]) -> None:
        for listener in self.all:
            listener.client = None
        self.new_pod(known)

    @rule(channel=st.sampled_from(CHANNELS))
    def is_seen_for_the_first_time(self, channel: Channel) -> None:
        if not self.board.version(channel):
            self.board.replace(channel, self.truth[channel])
            self.tell()

    def join(self, listener: Listener) -> None:
        """Do as the door does (api.ws.endpoints), resuming where the listener knows how."""
        place, new = self.hub.places.find(listener.epoch), self.hub.places.new("key")
        known = place is not None and self.board.can_resume(listener.seq)
        held = place.at(listener.seq) if place is not None and known else None
        client = Client(Wire(), listener.choice, interval_ms=0, seq=self.board.seq, place=new)
        client.wants = listener.choice.channels
        if held is not None:
            client.resume(held, seq=listener.seq)
            if client.wants is not None:
                self.board.step()
        else:
            listener.since, listener.events, listener.state = self.board.seq, [], {}
        listener.epoch, listener.client = new.epoch, client
        listener.seq = client.seq if client.resumed else NOTHING_YET  # what `welcome` says

        async def now() -> None:
            self.hub.join(client)

        self.loop.run_until_complete(now())

    def catch_up(self, listener: Listener) -> None:
        """Read, and have the hub look after it, until nothing is left to say."""
        while listener.client is not None and listener.wire.waiting:
            listener.read(len(listener.wire.waiting))

            self.bring_up_to_date(listener.client)

    def bring_up_to_date(self, client: Client) -> None:
        async def now() -> None:
            self.hub.bring_up_to_date(client)

        self.loop.run_until_complete(now())

    # What must be true.

    @invariant()
    def who_is_closed_is_told_why(self) -> None:
        for listener in self.all if hasattr(self, "all") else ():
            client = listener.client
            if client is not None and client.closed:
                assert listener.wire.code == Close.TOO_SLOW
                self.hub.leave(client)
                listener.client = None

    @invariant()
    def no_event_is_missing_between_two_that_arrived(self) -> None:
        for listener in self.all if hasattr(self, "all") else ():
            if not listener.events or not listener.choice.account:
                continue
            expected = [n for n in self.happened if listener.since < n <= listener.events[-1]]
            if listener.epoch.startswith(f"{self.board.epoch}-"):
                assert listener.events == expected

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            for listener in self.all:
                self.is_whole_in_the_end(listener)
        finally:
            board_module.MOST_MARKERS = self.markers  # type: ignore[misc]
            self.loop.close()

    def is_whole_in_the_end(self, listener: Listener) -> None:
        if listener.client is None:
            self.join(listener)
        self.catch_up(listener)
        if listener.client is None or listener.client.closed:
            return  # it was told so, by 4008
        choice = listener.choice
        known = [channel for channel in choice.channels if self.board.version(channel)]
        truth = {c: {k: json.loads(b) for k, b in self.truth[c].items()} for c in known}
        if choice.symbols is not None and "tick_data" in truth:
            truth["tick_data"] = {
                k: b for k, b in truth["tick_data"].items() if k in choice.symbols
            }
        assert listener.state == truth
        heard = listener.choice.account
        missed = [n for n in self.happened if heard and n > listener.since]
        assert listener.events == missed
        # What is not for it comes with no `seq`; the heartbeat names it.
        assert listener.client.seq == self.board.seq


TestStreams = Streams.TestCase
TestStreams.settings = settings(
    max_examples=int(os.environ.get("MT5_FUZZ_EXAMPLES", "60")), stateful_step_count=40,
    deadline=None, database=None, derandomize="MT5_FUZZ_SEED" not in os.environ,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
