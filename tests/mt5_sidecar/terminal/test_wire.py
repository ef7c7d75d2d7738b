# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from cluster.waiting import patience_s
from mt5_agent import protocol
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.errors import TerminalTimeout
from mt5_sidecar.settings_model import Settings
from mt5_sidecar.terminal.session import Session
from mt5_sidecar.terminal.wire import Wire

HELLO_S = 10.0
SILENCE_S = 15.0
TOKEN = "of-this-pod"
SETTINGS = Settings(account_id="a", login=1, server="s")


class Clock:
    """A loop's clock and its timers, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._timers: list[tuple[float, Callable[[], None], list[bool]]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, act: Callable[[], None]) -> Any:
        cancelled: list[bool] = []
        self._timers.append((self.now_s + delay_s, act, cancelled))

        class Handle:
            def cancel(self) -> None:
                cancelled.append(True)

        return Handle()

    def pass_s(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while due := [timer for timer in self._timers if timer[0] <= end_s and not timer[2]]:
            first = min(due, key=lambda timer: timer[0])
            self._timers.remove(first)
            self.now_s = max(self.now_s, first[0])
            first[1]()
        self.now_s = end_s


class Pipe(asyncio.Transport):
    """What was written, as messages."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = protocol.Frames()
        self.written: list[protocol.FromSidecar] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += map(protocol.decode_from_sidecar, self.frames.feed(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Hearer:
    """Notes what it is told; at its `last_word` it does what the test wants."""

    def __init__(self) -> None:
        self.said: list[protocol.FromAgent] = []
        self.endings: list[Exception | None] = []
        self.last_word: tuple[int, Callable[[], None]] | None = None

    def heard(self, message: protocol.FromAgent) -> None:
        self.said.append(message)
        if self.last_word is not None and len(self.said) == self.last_word[0]:
            self.last_word[1]()

    def ended(self, error: Exception | None) -> None:
        self.endings.append(error)


class Rig:
    """A wire, both its ends, and its clock."""

    def __init__(self) -> None:
        self.hearer, self.pipe, self.clock = Hearer(), Pipe(), Clock()
        loop: Any = self.clock
        self.wire = Wire(self.hearer, max_bytes=100, within_s=HELLO_S, loop=loop)
        self.wire.connection_made(self.pipe)

    def trust(self) -> None:
        self.wire.trust(max_bytes=protocol.MAX_FRAME_BYTES, silence_s=SILENCE_S)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def goodbyes(*reasons: str) -> list[protocol.Goodbye]:
    return [protocol.Goodbye(reason=reason) for reason in reasons]


def frames(*reasons: str) -> bytes:
    return b"".join(map(protocol.encode, goodbyes(*reasons)))


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 1000])
def test_messages_are_heard_in_order_however_they_are_cut(rig: Rig, piece_bytes: int) -> None:
    data = frames("a", "b", "c")

    for begin in range(0, len(data), piece_bytes):
        rig.wire.data_received(data[begin : begin + piece_bytes])

    assert rig.hearer.said == goodbyes("a", "b", "c")


def test_nothing_is_heard_after_it_was_closed_even_of_the_same_piece(rig: Rig) -> None:
    rig.hearer.last_word = (1, lambda: rig.wire.close("enough"))

    rig.wire.data_received(frames("a", "b"))
    rig.wire.data_received(frames("c"))
    rig.wire.eof_received()
    rig.wire.connection_lost(None)

    assert rig.hearer.said == goodbyes("a")
    assert rig.pipe.written == goodbyes("enough")
    assert rig.pipe.closed
    assert rig.hearer.endings == []


def test_the_end_is_told_once(rig: Rig) -> None:
    rig.wire.eof_received()
    rig.wire.connection_lost(ConnectionResetError())
    rig.clock.pass_s(HELLO_S)

    assert rig.hearer.endings == [None]


def test_nonsense_ends_it_after_what_came_before_it(rig: Rig) -> None:
    rig.wire.data_received(frames("a") + b"\x01\x00\x00\x00x" + frames("b"))
    rig.wire.data_received(frames("c"))

    assert rig.hearer.said == goodbyes("a")
    assert [type(error) for error in rig.hearer.endings] == [protocol.ProtocolError]


def test_a_stranger_may_not_announce_more_than_a_hello(rig: Rig) -> None:
    rig.wire.data_received(frames("x" * 200)[:4])

    assert [type(error) for error in rig.hearer.endings] == [protocol.ProtocolError]


def test_who_is_trusted_may_say_more_from_the_next_message_on(rig: Rig) -> None:
    rig.hearer.last_word = (1, rig.trust)

    rig.wire.data_received(frames("a", "x" * 200))

    assert rig.hearer.said == goodbyes("a", "x" * 200)


def test_bytes_buy_a_stranger_no_time(rig: Rig) -> None:
    rig.clock.pass_s(HELLO_S - 1)
    rig.wire.data_received(b"\x50")
    assert rig.hearer.endings == []

    rig.clock.pass_s(1)

    assert [type(error) for error in rig.hearer.endings] == [TimeoutError]


def test_who_is_trusted_is_given_up_after_so_long_a_silence_and_not_before(rig: Rig) -> None:
    rig.clock.pass_s(HELLO_S - 1)
    rig.trust()
    for _ in range(5):
        rig.clock.pass_s(SILENCE_S - 1)
        assert rig.hearer.endings == []
        rig.wire.data_received(frames("a"))

    rig.clock.pass_s(SILENCE_S - 1)
    assert rig.hearer.endings == []
    rig.clock.pass_s(1)

    assert [type(error) for error in rig.hearer.endings] == [TimeoutError]


def test_a_connection_that_comes_after_the_end_is_hung_up(rig: Rig) -> None:
    wire = Wire(rig.hearer, max_bytes=100, within_s=HELLO_S, loop=rig.clock)  # type: ignore[arg-type]
    wire.close("the sidecar stops")

    wire.connection_made(rig.pipe)

    assert rig.pipe.closed


class Host:
    """Nobody."""

    def greeted(self, session: Session) -> None:
        """It may ask now."""

    def said(self, message: protocol.FromAgent) -> None:
        raise AssertionError("only after a hello")

    def ended(self, session: Session, error: Exception | None) -> None:
        session.close(str(error))


async def greeted_session(*, places: int = 2) -> tuple[Session, Pipe]:
    session, pipe = Session(Host(), Secret(TOKEN), SETTINGS), Pipe()
    hello = protocol.Hello(
        version=protocol.VERSION,
        oldest_version=1,
        token=TOKEN,
        epoch="e",
        versions=protocol.Versions(),
        max_in_flight=places,
    )
    session.wire.connection_made(pipe)
    session.wire.data_received(protocol.encode(hello))
    return session, pipe


def ask(session: Session, *, timeout_s: float = 60.0) -> asyncio.Task[protocol.Answer]:
    return asyncio.ensure_future(session.request("order_send", (), {}, timeout_s=timeout_s))


def requests(pipe: Pipe) -> list[protocol.Request]:
    return [message for message in pipe.written if isinstance(message, protocol.Request)]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_says_anything_before_hello_is_not_heard() -> None:
    session, pipe = Session(Host(), Secret(TOKEN), SETTINGS), Pipe()
    session.wire.connection_made(pipe)

    session.wire.data_received(protocol.encode(protocol.State(state="Connected")))

    assert pipe.closed
    (goodbye,) = pipe.written
    assert goodbye == protocol.Goodbye(reason="the first message must be hello")


async def test_an_agent_that_does_not_read_is_asked_no_more_until_it_does() -> None:
    session, pipe = await greeted_session()
    session.wire.pause_writing()
    asked = ask(session)
    await turns()
    assert requests(pipe) == []

    session.wire.resume_writing()
    await turns()
    (request,) = requests(pipe)
    session.wire.data_received(protocol.encode(protocol.Answer(id=request.id, outcome="done")))

    assert (await asked).outcome == "done"


async def test_what_was_not_written_when_the_connection_ends_was_not_sent() -> None:
    session, pipe = await greeted_session()
    session.wire.pause_writing()
    asked = ask(session)
    await turns()

    session.wire.connection_lost(ConnectionResetError())

    assert (await asked).outcome == "not_sent"
    assert requests(pipe) == []


async def test_what_was_written_when_the_connection_ends_is_unknown_and_what_waited_not_sent() -> (
    None
):
    session, pipe = await greeted_session(places=2)
    asked = [ask(session) for _ in range(4)]
    await turns()
    assert len(requests(pipe)) == 2

    session.wire.eof_received()
    async with asyncio.timeout(patience_s(5)):
        ends = await asyncio.gather(*asked, return_exceptions=True)

    assert len(requests(pipe)) == 2
    assert [type(end) for end in ends] == [TerminalTimeout] * 2 + [protocol.Answer] * 2
    assert [end.outcome for end in ends if isinstance(end, protocol.Answer)] == ["not_sent"] * 2


async def test_an_answer_to_what_another_session_asked_is_nobodys() -> None:
    (older, pipe), (newer, other_pipe) = await greeted_session(), await greeted_session()
    asked = ask(older)
    await turns()
    (request,) = requests(pipe)
    answer = protocol.encode(protocol.Answer(id=request.id, outcome="done"))
    older.close("another agent has connected")

    newer.wire.data_received(answer)
    older.wire.data_received(answer)

    with pytest.raises(TerminalTimeout):
        await asked
    assert requests(other_pipe) == []


class Faulty(Hearer):
    def heard(self, message: protocol.FromAgent) -> None:
        raise KeyError(message)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_fault_of_ours_ends_the_connection_and_is_told(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    hearer = Faulty()

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # the loop logs it, too
        made: list[Wire] = []

        def accept() -> Wire:
            made.append(Wire(hearer, max_bytes=100, within_s=HELLO_S))
            return made[-1]

        server = await loop.create_server(accept, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(frames("a"))
        async with asyncio.timeout(patience_s(5)):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(talk())

    assert [type(error) for error in hearer.endings] == [KeyError]
