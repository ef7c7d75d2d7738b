# SPDX-License-Identifier: Apache-2.0
"""Puts the agent together, translates the sidecar's messages, and ends everything in order."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mt5_agent.backoff import Backoff
from mt5_agent.board import Board
from mt5_agent.calls import Calls, Ending
from mt5_agent.launch import Launch
from mt5_agent.link import Link
from mt5_agent.memory import Memory
from mt5_agent.pipe import Job
from mt5_agent.protocol import (
    PRIORITY_OF,
    Answer,
    Fault,
    FromSidecar,
    Login,
    Logout,
    Request,
    Snapshot,
    State,
    Watch,
    is_trading,
)
from mt5_agent.report import Report
from mt5_agent.selftest import trouble
from mt5_agent.session import Session
from mt5_agent.settings import Settings
from mt5_agent.tail import JournalTail
from mt5_agent.terminals import Terminal
from mt5_agent.upkeep import Condition, Upkeep
from mt5_agent.wanted import Wanted
from mt5_agent.watch import JournalWatch

_log = logging.getLogger(__name__)


class Supervisor:
    """All parts of one agent."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts; start nothing."""
        self._settings = settings
        self._epoch = os.urandom(8).hex()
        self._wanted = Wanted()
        self.link = Link(self, settings)
        self._report = Report(
            backend=settings.backend, platform=settings.platform, changed=self.link.wake
        )
        self._board = Board(self.link.wake)
        self._calls = Calls(
            most_waiting=settings.max_in_flight, patience_s=settings.call_patience_s
        )
        self._launch = Launch(settings, wanted=self._wanted, report=self._report)
        self._terminal = Terminal(
            self._launch,
            backoff=Backoff(first_s=settings.backoff_s, most_s=settings.backoff_max_s),
            steady_s=settings.steady_s,
            began=lambda: self._report.count("terminal_starts"),
            ended=self._terminal_ended,
            restarted=lambda: self._report.count("terminal_restarts"),
            failed=self._launch.failed,
        )
        self._upkeep = Upkeep(settings, condition=self._condition, restart=self._restart)
        self._session = Session(
            settings=settings,
            terminal=self._terminal,
            launch=self._launch,
            wanted=self._wanted,
            calls=self._calls,
            board=self._board,
            report=self._report,
            watch=JournalWatch(
                JournalTail(settings.data_dir / "logs"),
                self._report,
                platform=settings.platform,
                silence_s=settings.silence_limit_s,
            ),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then end within the grace setting."""
        self._launch.leave_nothing()  # of a killed agent
        self._tell_of_the_selftest()
        tasks = {
            "terminal": asyncio.ensure_future(self._terminal.keep()),
            "session": asyncio.ensure_future(self._session.run()),
            "link": asyncio.ensure_future(self.link.run()),
            "upkeep": asyncio.ensure_future(self._upkeep.run()),
        }
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([stopping, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks.values():
                if task.done():
                    task.result()  # a part that ends is a fault of ours: end, and be started again
        finally:
            stopping.cancel()
            await self._end(tasks)

    async def _end(self, tasks: Mapping[str, asyncio.Future[None]]) -> None:
        _log.info("stopping")
        grace_s = self._settings.grace_limit_s
        self._calls.close("the agent is stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s / 2):
                await self._calls.idle()
        await _cancel(tasks["upkeep"])
        await _cancel(tasks["session"])
        keeper = tasks["terminal"]
        keeper.cancel()
        await self._terminal.stop(grace_s / 2)
        await _cancel(keeper)
        self._launch.leave_nothing()
        await self.link.goodbye("stopping")
        await _cancel(tasks["link"])
        _log.info("stopped")

    def _terminal_ended(self, asked: bool) -> None:  # noqa: FBT001  (a callback of one value)
        self._launch.leave_nothing()  # its next start writes the file anew, when that comes
        self._report.terminal_ended(asked=asked)

    def _condition(self, used: Memory | None) -> Condition:
        return Condition(
            reason=self._report.state.reason,
            unsynchronised_s=self._report.unsynchronised_s,
            unanswered_s=self._unanswered_s(),
            memory=used,
        )

    def _unanswered_s(self) -> float:
        if not self._terminal.runs:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        return now_s - max(self._report.contact_s, self._terminal.started_s)

    async def _restart(self, why: str) -> None:
        """Restart the terminal between two calls; what waits was not sent."""
        self._calls.close(f"the terminal is restarted as planned: {why}")
        with contextlib.suppress(TimeoutError):  # a call that hangs ends with its worker
            async with asyncio.timeout(self._settings.poll_deadline_s):
                await self._calls.idle()
        await self._terminal.restart(why, self._settings.grace_limit_s / 2)

    def _tell_of_the_selftest(self) -> None:
        found = self._settings.selftest_file and trouble(Path(self._settings.selftest_file))
        if found:
            _log.error("the self-test of this image failed: %s", found)
            self._report.show("TerminalStarting", self._report.distrust(found))

    # What the link asks for

    def hello(self) -> dict[str, Any]:
        """Return who speaks."""
        return {
            "epoch": self._epoch,
            "versions": self._report.state.versions,
            "max_in_flight": self._settings.max_in_flight,
        }

    def state(self) -> State:
        """Return the State."""
        return self._report.state

    def polls(self) -> dict[str, tuple[int, ...]]:
        """Return how long each look took since the last time."""
        return self._report.take_polls()

    def joined(self) -> None:
        """Hold all snapshots ready for a new sidecar."""
        self._board.retell()

    def left(self, connection: object) -> None:
        """Forget what a sidecar that went away was waiting for."""
        self._calls.drop(connection)

    def take(self) -> list[Snapshot]:
        """Return the snapshots that changed."""
        return self._board.take()

    def handle(self, message: FromSidecar, link: Link) -> None:
        """Do what the sidecar says."""
        match message:
            case Login():
                self._board.keep_ticks(message.symbols)
                if not self._wanted.want(message):
                    self._report.set(login_id=message.login_id)
            case Logout():
                self._wanted.forget()
            case Watch():
                self._wanted.symbols = message.symbols
                self._board.keep_ticks(message.symbols)
            case Request():
                self._request(message, link)
            case _:
                _log.warning("unexpected %s", type(message).__name__)

    def _request(self, request: Request, link: Link) -> None:
        connection = link.connection

        def finish(ending: Ending) -> None:
            _log_end(request, ending)
            link.send(_answer(request.id, ending), connection)

        priority = PRIORITY_OF.get(request.call)
        if priority is None:
            refused = Fault(0, f"{request.call} is not a call that the agent makes")
            link.send(Answer(id=request.id, outcome="not_sent", fault=refused), connection)
            return
        self._calls.put(
            Job(request.call, request.args, request.kwargs),
            priority,
            within_s=request.deadline_ms / 1000,
            finish=finish,
            owner=connection,
        )


def _log_end(request: Request, ending: Ending) -> None:
    # Every trade, and of the rest what a worker took with it: the trace leads from the client here.
    if not is_trading(request.call) and ending.outcome != "unknown":
        return
    level = logging.WARNING if ending.outcome == "unknown" else logging.INFO
    trace = {"traceparent": request.traceparent} if request.traceparent else {}
    took_ms = ending.duration_us / 1000
    _log.log(
        level, "%s: %s after %.1f ms", request.call, ending.outcome, took_ms, extra={"told": trace}
    )


def _answer(number: int, ending: Ending) -> Answer:
    answer = Answer(
        id=number, outcome=ending.outcome, fault=ending.fault, duration_us=ending.duration_us
    )
    if ending.outcome != "done" or ending.done is None:
        return answer
    return Answer(
        id=number, outcome="done", result=ending.done.value, duration_us=ending.duration_us
    )


async def _cancel(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
