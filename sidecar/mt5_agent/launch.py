# SPDX-License-Identifier: Apache-2.0
"""What comes before a terminal's start and after its end: the program is there, nothing is left of
an earlier one, and a real terminal finds its account in the start file.

Without that file a real terminal's first start shows a window that waits for a person (MT5.md 1.3),
so it is started when the first `Login` is known. The file holds the password: `forget` takes it
away as soon as the log-in has ended, however it ended.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from mt5_agent import disk, terminal_ini, windows
from mt5_agent.classify import Finding, missing
from mt5_agent.commands import filled, words
from mt5_agent.processes import run
from mt5_agent.protocol import Login
from mt5_agent.reasons import Reason
from mt5_agent.report import Report
from mt5_agent.settings import Settings
from mt5_agent.terminals import NotThere
from mt5_agent.wanted import Wanted

_FORGET_AGAIN_S: Final = 1.0
"""No knob: the password is in the file until then."""
_log = logging.getLogger(__name__)


class Launch:
    """Starts of one terminal; the `Start` of `mt5_agent.terminals`."""

    def __init__(self, settings: Settings, *, wanted: Wanted, report: Report) -> None:
        """Start what `settings` name, for the account that is wanted."""
        self._settings, self._wanted, self._report = settings, wanted, report
        given = settings.terminal_ini if settings.backend == "metatrader5" else ""
        self._ini = Path(given) if given else None
        self._again: asyncio.TimerHandle | None = None

    async def argv(self) -> list[str]:
        """Make ready for a start, and return its command. Waits for the first `Login`.

        Raises:
            NotThere: There is no terminal.
            OSError: The start file cannot be written.
        """
        settings = self._settings
        if settings.backend == "metatrader5" and not settings.program_file.is_file():
            raise NotThere(str(settings.program_file))
        await self.clear()
        return settings.terminal_argv(await self._written())

    async def ask(self, pid: int) -> None:
        """Ask the terminal to close: by the command for that, or on Windows by WM_CLOSE."""
        if self._settings.terminal_stop_command:
            await self._command(self._settings.terminal_stop_command, pid=str(pid))
        else:
            windows.ask_to_close(pid)

    async def clear(self) -> None:
        """End terminals that nobody here started, if there is a command for that."""
        await self._command(self._settings.terminal_kill_command)

    def forget(self) -> None:
        """Take the start file away: the terminal has read it, or never will. Windows lets nobody
        remove what a program has open: then it is tried again."""
        self._keep_still()
        if self._ini is None:
            return
        try:
            terminal_ini.forget(self._ini)
        except OSError as error:
            _log.warning("the start file stays for now: %s", error)
            self._again = asyncio.get_running_loop().call_later(_FORGET_AGAIN_S, self.forget)

    def leave_nothing(self) -> None:
        """Take away all that may hold the password: a terminal has ended, or none runs yet."""
        self.forget()
        disk.remove_dumps(disk.dump_folders(self._settings.data_dir, os.environ))

    def _keep_still(self) -> None:
        if self._again is not None:
            self._again.cancel()

    def failed(self, error: Exception) -> None:
        """Say why there is no terminal, and what to do."""
        self.forget()
        _log.error("the terminal cannot be started: %r", error)
        if isinstance(error, NotThere | FileNotFoundError):
            found = missing(self._settings.terminal_missing_hint)
        else:
            found = Finding(
                Reason.TERMINAL_FAULT,
                f"The terminal cannot be started ({error}); it is tried again.",
            )
        self._report.attempted(found)
        self._report.show("TerminalStarting", found)

    async def _written(self) -> str:
        if self._ini is None:
            return ""
        if self._report.state.state == "Refused":
            await self._wanted.changed()  # the file would log in again, and could lock the account
        if self._wanted.login is None:
            self._report.show("WaitingForLogin")
        login = await self._wanted.some()
        if self._report.state.state == "WaitingForLogin":
            self._report.show("TerminalStarting")
        self._keep_still()
        terminal_ini.prepare(self._settings.data_dir, self._ini, _text(login))
        return str(self._ini)

    async def _command(self, text: str, **values: str) -> None:
        if text:
            await run(filled(words(text), **values), within_s=self._settings.command_timeout_s)


def _text(login: Login) -> bytes:
    try:
        account = terminal_ini.account(
            login=login.login, password=login.password, server=login.server
        )
    except terminal_ini.Unwritable as error:
        # The package logs in all the same, and what lets it trade stands in this file.
        _log.warning("the start file names no account: %s", error)
        account = {}
    return terminal_ini.start_ini(account)
