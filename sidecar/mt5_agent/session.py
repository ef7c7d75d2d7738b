# SPDX-License-Identifier: Apache-2.0
"""Gets the wanted account logged in and keeps it so, through the end of any worker or terminal."""

import asyncio
import contextlib
import logging
from typing import Final

from mt5_agent.backoff import Backoff
from mt5_agent.board import Board
from mt5_agent.calls import Calls, WorkerHangs
from mt5_agent.classify import Finding, no_worker
from mt5_agent.first import first
from mt5_agent.launch import Launch
from mt5_agent.pipe import ATTACH, Done, Job
from mt5_agent.poller import Poller, Unfit
from mt5_agent.protocol import Login, StateName
from mt5_agent.reasons import Reason
from mt5_agent.report import Report
from mt5_agent.settings import Settings
from mt5_agent.terminals import Terminal
from mt5_agent.wanted import Wanted
from mt5_agent.watch import JournalWatch
from mt5_agent.workers import WorkerGone, WorkerProcess

_NO_PIPE: Final = -10003
_READ_S: Final = 60.0
"""A terminal so old has read its start file. No knob: the password stands in it until then."""
_STARTUP_RETRY_S: Final = 0.05
_log = logging.getLogger(__name__)


class Session:
    """The loop: terminal up, worker up, account wanted, logged in, served, and again."""

    def __init__(
        self,
        *,
        settings: Settings,
        terminal: Terminal,
        launch: Launch,
        wanted: Wanted,
        calls: Calls,
        board: Board,
        report: Report,
        watch: JournalWatch,
    ) -> None:
        """Put together what the loop needs."""
        self._settings, self._terminal, self._wanted = settings, terminal, wanted
        self._launch = launch
        self._calls, self._board, self._report, self._watch = calls, board, report, watch
        self._backoff = Backoff(first_s=settings.backoff_s, most_s=settings.backoff_max_s)
        self._account: tuple[int, str] | None = None
        self._served_since_s: float | None = None
        self._failed = False
        self._poller = Poller(
            calls=calls,
            board=board,
            report=report,
            wanted=wanted,
            settings=settings,
            link_moved=self._link_moved,
        )

    async def run(self) -> None:
        """Keep the account connected until cancelled."""
        settings = self._settings
        while True:
            try:
                worker = await WorkerProcess.start(
                    settings.worker_argv, within_s=settings.worker_start_timeout_s
                )
            except WorkerGone as error:
                _log.warning("no worker: %s", error)
                found = no_worker(settings.platform, settings.backend)
                self._report.attempted(found)
                self._report.show(self._report.state.state, found)
                self._forget_what_was_read()
                await self._backoff.wait()
                continue
            self._report.versions(package=worker.package)
            self._failed, self._served_since_s = False, None
            try:
                await self._after_the_terminal(worker)
            except WorkerGone:
                _log.warning("worker %d ended by itself", worker.pid)
                self._failed = True
            finally:
                self._calls.close("no terminal is logged in")
                await worker.kill()
            await self._breathe()

    async def _breathe(self) -> None:
        """Wait after a failure: each attempt is a log-in, and a broker may lock who makes many."""
        since_s, now_s = self._served_since_s, asyncio.get_running_loop().time()
        if since_s is not None and now_s - since_s > self._settings.steady_s:
            self._backoff.reset()
        elif self._failed:
            await first(self._backoff.wait(), self._wanted.changed())

    def _forget_what_was_read(self) -> None:
        # No log-in takes the start file away while no worker starts; a terminal reads it early.
        age_s = asyncio.get_running_loop().time() - self._terminal.started_s
        if self._terminal.runs and age_s > _READ_S:
            self._launch.forget()

    async def _after_the_terminal(self, worker: WorkerProcess) -> None:
        await first(self._terminal.up(), worker.ended())
        if self._terminal.runs:
            await self._use(worker)
        else:
            await self._backoff.wait()  # a worker that cannot live is not started in a hurry

    async def _use(self, worker: WorkerProcess) -> None:
        if self._wanted.login is None:
            self._board.clear()
            self._account = None
            self._launch.forget()
            self._report.show("WaitingForLogin")
            await first(self._wanted.known(), self._terminal.down(), worker.ended())
        if self._wanted.login is None:
            return
        login = await self._wanted.known()
        self._begin(login)
        try:
            done = await self._log_in(worker, login)
        finally:
            self._launch.forget()
        if done is None:
            return
        if not done.ok:
            await self._explain(done)
            return
        self._served_since_s = asyncio.get_running_loop().time()
        self._report.count("logins")
        await self._serve(worker)

    def _begin(self, login: Login) -> None:
        account = (login.login, login.server)
        if account != self._account:
            self._board.clear()
            self._account = account
            self._poller.forget_clock()
            self._report.set(utc_offset_s=None, utc_offset_sure=False, last_contact_ms=0)
        self._watch.begin(login)
        self._report.set(login=login.login, server=login.server, login_id=login.login_id)
        if self._report.state.state != "Disconnected":
            self._report.show("LoggingIn")

    async def _log_in(self, worker: WorkerProcess, login: Login) -> Done | None:
        """Return how `initialize` ended; None when it no longer matters."""
        attach = asyncio.ensure_future(self._attach(worker, login))
        try:
            await first(attach, self._wanted.changed(), self._terminal.down(), self._watch.follow())
            if not self._terminal.runs:
                self._terminal_ended()
            return None if attach.cancelled() else attach.result()
        except TimeoutError:
            self._fault("The terminal did not answer the log-in in time; it is tried again.")
            return None
        finally:
            attach.cancel()

    async def _attach(self, worker: WorkerProcess, login: Login) -> Done:
        timeout_s = self._settings.login_deadline_s
        startup_s = self._settings.terminal_startup_s
        job = Job(
            ATTACH,
            kwargs={
                "path": self._settings.program,
                "login": login.login,
                "server": login.server,
                "password": login.password,
                "timeout": int(timeout_s * 1000),
            },
        )
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s + self._settings.attach_margin_s):
            done = await worker.do(job)
            while _not_yet(done) and loop.time() - self._terminal.started_s < startup_s:
                await asyncio.sleep(_STARTUP_RETRY_S)
                done = await worker.do(job)
        return done

    async def _explain(self, done: Done) -> None:
        found = self._watch.finding(code=done.code, text=done.text, runs=self._terminal.runs)
        found = found or Finding(
            Reason.TERMINAL_FAULT,
            f"The terminal refused the log-in (last_error {done.code} "
            f"{self._watch.without_passwords(done.text)}); it is tried again.",
        )
        _log.warning("log-in failed: %s: %s", found.reason.value, found.message)
        self._report.attempted(found)
        if found.final:
            self._report.show("Refused", found)
            await self._wanted.changed()
            self._report.show("LoggingIn", found)
            return
        self._report.show(self._report.state.state, found)
        await first(self._backoff.wait(), self._wanted.changed())

    async def _serve(self, worker: WorkerProcess) -> None:
        self._calls.open()
        try:
            await first(
                self._calls.serve(worker),
                _lives(worker),
                self._poll(),
                self._watch.listen(),
                self._other_login(),
                self._terminal.down(),
            )
        except WorkerHangs as hang:
            self._report.count("worker_restarts")
            self._fault(f"The call {hang} did not end in time; its worker was replaced.")
        except WorkerGone:
            self._report.count("worker_restarts")
            self._fault("The worker ended; another takes its place.")
        except Unfit as unfit:
            # Wanted by now may be what the terminal is not on yet.
            if not self._wanted.has_changed:
                self._fault(f"Nothing of the terminal is shown: {unfit}.")
        else:
            if not self._terminal.runs:
                self._terminal_ended()
        finally:
            self._calls.close("the connection to the terminal is being made again")

    async def _other_login(self) -> None:
        """Wait until other credentials are wanted, and for the end of the call that runs: an order
        that loses its worker is unknown."""
        await self._wanted.changed()
        self._calls.close("another log-in was asked for")
        with contextlib.suppress(TimeoutError):  # one that hangs ends with its worker
            async with asyncio.timeout(self._settings.poll_deadline_s):
                await self._calls.idle()

    async def _poll(self) -> None:
        await self._poller.look()  # says `Connected`, once there is something to show
        await self._poller.run()

    def _link_moved(self, up: bool) -> None:  # noqa: FBT001  (a callback of one value)
        before = self._report.state.state
        if up:
            self._report.show("Connected")
        elif before == "Connected":
            self._report.dropped()
            found = self._watch.finding() or _LOST
            self._report.attempted(found)
            self._report.show("Disconnected", found)
        elif before == "Disconnected" and (found_later := self._watch.finding()):
            self._report.show(before, found_later)  # what the terminal's own attempts came to

    def _terminal_ended(self) -> None:
        why = self._terminal.restart_reason
        if not why:
            self._fault("The terminal ended; it is started again.")
            self._failed = False  # its own start waits already
            return
        message = f"The terminal is restarted as planned: {why}."
        reason = Reason(self._report.state.reason or Reason.TERMINAL_FAULT)  # why, if it had one
        self._report.show("Disconnected", Finding(reason, message))

    def _fault(self, message: str) -> None:
        _log.warning("%s", message)
        self._failed = True
        found = self._watch.finding(runs=self._terminal.runs)
        state: StateName = "Disconnected" if self._report.state.evidence.logins else "LoggingIn"
        found = found or Finding(Reason.TERMINAL_FAULT, message)
        self._report.attempted(found)
        self._report.show(state, found)


_LOST: Final = Finding(
    Reason.BROKER_UNREACHABLE, "The terminal lost its broker; it connects again by itself."
)


async def _lives(worker: WorkerProcess) -> None:
    await worker.ended()
    raise WorkerGone  # known at once, so that no call is handed to one that is not there


def _not_yet(done: Done) -> bool:
    return not done.ok and done.code == _NO_PIPE
