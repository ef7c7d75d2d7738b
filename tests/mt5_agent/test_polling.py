# SPDX-License-Identifier: Apache-2.0
"""The one poll: as often as it is set, and for ever."""

import asyncio
import time

import msgspec
import pytest

from cluster.waiting import patience_s
from mt5_agent.board import Board
from mt5_agent.calls import Ending
from mt5_agent.pipe import SELECT, TICKS, Done
from mt5_agent.poller import Poller, Unreadable, WrongAccount
from mt5_agent.protocol import POLLS, Login, encode
from mt5_agent.report import POLLS_KEPT, Report
from mt5_agent.settings import Settings, load
from mt5_agent.wanted import Wanted


class Terminal:
    """Answers no call; notes when which was made."""

    def __init__(self, ends="failed"):
        self.asked = []
        self.ends = ends
        self._more = asyncio.Condition()

    async def ask(self, job, _priority, *, within_s):
        async with self._more:
            self.asked.append((job.call, time.monotonic()))
            self._more.notify_all()
        return Ending("unknown" if len(self.asked) % 2 else self.ends)

    def times(self, call):
        return [at for name, at in self.asked if name == call]

    async def until(self, call, count):
        async with asyncio.timeout(patience_s(20)), self._more:
            await self._more.wait_for(lambda: len(self.times(call)) >= count)


@pytest.fixture
def terminal():
    return Terminal()


def new_report():
    return Report(backend="simulator", platform="Linux", changed=lambda: None)


def poller(terminal, report=None, board=None, wanted=None, **settings):
    wanted = wanted or Wanted()
    wanted.symbols = ("EURUSD",)
    return Poller(
        calls=terminal,
        board=board or Board(lambda: None),
        report=report or new_report(),
        wanted=wanted,
        settings=Settings(backend="simulator", **settings),
        link_moved=lambda _: None,
    )


async def test_polls_that_fail_are_made_again_and_again(terminal):
    running = asyncio.create_task(poller(terminal, poll_interval_s=0.01).run())

    await terminal.until("positions_get", 10)

    assert not running.done()
    running.cancel()


async def test_account_positions_and_orders_are_looked_at_once_an_interval(terminal):
    running = asyncio.create_task(poller(terminal, poll_interval_s=0.05).run())

    await terminal.until("positions_get", 6)
    running.cancel()

    for call in ("positions_get", "orders_get"):
        times = terminal.times(call)[:6]
        assert times[-1] - times[0] >= 5 * 0.05 - 0.01  # never more often than that


def test_the_interval_is_half_a_second_and_can_be_another():
    told = {"MT5_AGENT_BACKEND": "simulator"}

    assert load(told).poll_interval_s == 0.5
    assert load(told | {"MT5_AGENT_POLL_INTERVAL_S": "1"}).poll_interval_s == 1


async def test_each_look_is_timed_by_what_was_asked_and_told_once(terminal):
    report = new_report()
    often = {"poll_interval_s": 0.01, "tick_interval_s": 0.01}
    running = asyncio.create_task(poller(terminal, report, **often).run())
    await terminal.until("terminal_info", 3)
    await terminal.until("ticks", 3)
    running.cancel()

    told = report.take_polls()

    assert set(told) == POLLS == {call for call, _ in terminal.asked}
    # The last one may have been asked and not ended.
    assert len(terminal.times("terminal_info")) - len(told["terminal_info"]) in {0, 1}
    assert all(time_us >= 0 for times_us in told.values() for time_us in times_us)
    assert report.take_polls() == {}


async def test_a_look_that_was_never_made_took_no_time():
    terminal, report = Terminal(ends="not_sent"), new_report()
    running = asyncio.create_task(poller(terminal, report, poll_interval_s=0.01).run())
    await terminal.until("terminal_info", 4)
    running.cancel()

    assert sum(map(len, report.take_polls().values())) <= len(terminal.asked) / 2 + 1


def test_without_a_sidecar_only_the_newest_looks_are_remembered():
    report = new_report()
    for number in range(POLLS_KEPT + 5):
        report.polled("ticks", took_s=number)

    kept = report.take_polls()["ticks"]

    assert (len(kept), kept[0]) == (POLLS_KEPT, 5_000_000)


# One account, as the package shows it: login 10001, and 27 fields more.
ACCOUNT = (10001, 0, 100, 200, 0, True, True, 2, 2, False, *[0.0] * 14, "A", "S", "USD", "C")
NOBODY = (0, *ACCOUNT[1:])
TERMINAL = (*[True] * 5, False, *[True] * 4, 5000, 1, 0, 9, 0.0, 0.0, *["x"] * 6)


class Says:
    """A terminal that answers from `says`, one answer after the other and the last for ever."""

    def __init__(self, **says):
        self.says, self.asked = {"orders_get": [()], "terminal_info": [TERMINAL], **says}, []

    async def ask(self, job, _priority, *, within_s):
        del within_s
        self.asked.append(job)
        answers = self.says.get(job.call, [None])
        value = answers.pop(0) if len(answers) > 1 else answers[0]
        if value is None:
            return Ending("failed")
        raw = msgspec.Raw(msgspec.msgpack.encode(value))
        return Ending("done", Done(ok=True, value=raw))


def looking(says, link=None):
    made = poller(says)
    made._wanted.login = Login(login_id=1, login=10001, server="S", password="p")
    made._link_moved = (link if link is not None else []).append
    return made


def shown(made):
    return {snapshot.kind for snapshot in made._board.take()}


async def test_what_was_seen_is_shown_when_the_account_is_known_before_and_after():
    link: list[bool] = []
    made = looking(Says(account_info=[ACCOUNT], positions_get=[()]), link)

    await made.look()

    assert shown(made) == {"account", "positions", "orders"}
    assert link == [True]


@pytest.mark.parametrize("accounts", [[None], [ACCOUNT, None], [None, ACCOUNT], [NOBODY]])
async def test_positions_of_an_account_that_nobody_could_name_are_not_shown(accounts):
    link: list[bool] = []
    made = looking(Says(account_info=accounts, positions_get=[()]), link)

    await made.look()

    assert shown(made) == set()
    assert link == [False]


@pytest.mark.parametrize(
    "says",
    [
        {"account_info": [(None,) * 28]},
        {"account_info": [("x", *ACCOUNT[1:])]},
        {"account_info": [ACCOUNT[:5]]},
        {"account_info": [ACCOUNT], "terminal_info": [7]},
        {"account_info": [ACCOUNT], "ticks": [[1]]},
    ],
)
async def test_what_cannot_be_read_is_said_to_be_so(says):
    with pytest.raises(Unreadable):
        await looking(Says(positions_get=[()], **says)).run()


async def test_another_account_is_said_to_be_so():
    with pytest.raises(WrongAccount):
        await looking(Says(account_info=[(20002, *ACCOUNT[1:])], positions_get=[()])).run()


async def test_symbols_that_could_not_be_selected_in_time_are_selected_later():
    says = Says(select=[None, []])
    made = looking(says)

    for _ in range(3):
        await made._look_at_ticks()

    assert [job.call for job in says.asked] == [SELECT, TICKS, SELECT, TICKS, TICKS]


@pytest.mark.parametrize(("ahead_h", "offset_s"), [(3, 10_800), (-12, -43_200), (-48, None)])
async def test_a_tick_further_from_utc_than_any_zone_tells_no_clock(ahead_h, offset_s):
    made = looking(Says())

    made._note_clock(time.time_ns() // 1_000_000 + ahead_h * 3_600_000)

    assert made._report.state.utc_offset_s == offset_s
    assert not made._report.state.utc_offset_sure


async def test_another_brokers_clock_is_learnt_anew():
    made = looking(Says())
    made._note_clock(time.time_ns() // 1_000_000 + 3 * 3_600_000)

    made.forget_clock()
    made._note_clock(time.time_ns() // 1_000_000 - 5 * 3_600_000)

    assert made._report.state.utc_offset_s == -5 * 3600


async def test_a_look_brings_nothing_back_that_was_let_go_while_it_was_made():
    wanted, board = Wanted(), Board(lambda: None)
    eurusd = msgspec.msgpack.encode({"EURUSD": [1, 1.0, 1.0, 0.0, 0, 1000, 6, 0.0]})

    class Meanwhile(Terminal):
        async def ask(self, job, _priority, *, within_s):
            await super().ask(job, _priority, within_s=within_s)
            wanted.symbols = ()
            return Ending("done", Done(ok=True, value=msgspec.Raw(eurusd)))

    await poller(Meanwhile(), board=board, wanted=wanted)._look_at_ticks()

    assert board.take() == []


async def test_more_positions_than_a_frame_has_room_for_are_said_to_be_so_and_the_rest_is_shown():
    link: list[bool] = []
    many = (("x" * 250,),) * 40_000
    made = looking(Says(account_info=[ACCOUNT], positions_get=[many, many, ()]), link)

    await made.look()
    first, told = made._board.take(), made._report.state.unshown
    await made.look()
    still = made._board.take()
    await made.look()

    assert {snapshot.kind for snapshot in first} == {"account", "orders"}
    assert all(encode(snapshot) for snapshot in first)
    assert (told, still, link) == (("positions",), [], [True] * 3)
    assert made._report.state.unshown == ()
    assert shown(made) == {"positions"}
