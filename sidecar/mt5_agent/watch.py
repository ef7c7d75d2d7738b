# SPDX-License-Identifier: Apache-2.0
"""Follows the journal, and says what a log-in or a broken session looks like by now."""

import asyncio
import logging
from dataclasses import replace
from typing import Final

from mt5_agent.classify import Finding, Sight, finding
from mt5_agent.protocol import Login
from mt5_agent.report import Report
from mt5_agent.tail import JournalTail

_LOOK_S: Final = 0.1
_LINES: Final = 200
_log = logging.getLogger(__name__)


class JournalWatch:
    """The evidence since the last log-in began."""

    def __init__(
        self, tail: JournalTail, report: Report, *, platform: str, silence_s: float
    ) -> None:
        """Read `tail`; a log-in is silent when it wrote nothing for `silence_s`."""
        self._tail, self._report = tail, report
        self._platform, self._silence_s = platform, silence_s
        self._lines: list[str] = []
        self._login: Login | None = None
        self._passwords: set[str] = set()
        self._spoke_s = 0.0

    def begin(self, login: Login) -> None:
        """Start to collect evidence of `login`."""
        self.read()
        self._login, self._lines = login, []
        self._passwords = {*self._passwords, login.password} - {""}
        self._spoke_s = asyncio.get_running_loop().time()

    def read(self) -> None:
        """Take what the terminal wrote since."""
        for line in self._tail.read():
            shown = self.without_passwords(line)
            # Judged as it is, told without: a password may be a word that lines have anyway.
            self._lines = [*self._lines[-_LINES:], line]
            self._report.heard(line, shown)
            self._spoke_s = asyncio.get_running_loop().time()
            _log.info("terminal: %s", shown)

    def finding(
        self, *, code: int = 0, text: str = "", runs: bool = True, logging_in: bool = False
    ) -> Finding | None:
        """Return why the account is not connected, as far as can be seen by now."""
        self.read()
        silent_s = asyncio.get_running_loop().time() - self._spoke_s
        found = finding(
            Sight(
                server=self._login.server if self._login else "",
                platform=self._platform,
                code=code,
                text=text,
                lines=tuple(self._lines),
                silent=logging_in and silent_s >= self._silence_s,
                known_server=self._report.state.evidence.logins > 0,
                terminal_runs=runs,
                drops=self._report.drops,
                ends=self._report.ends,
            )
        )
        return found and replace(found, message=self.without_passwords(found.message))

    async def follow(self) -> None:
        """While a log-in runs, show why it may be failing."""
        while True:
            await asyncio.sleep(_LOOK_S)
            found = self.finding(logging_in=True)
            if found is not None:
                self._report.show(self._report.state.state, found)

    async def listen(self) -> None:
        """While a session runs, keep reading."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.read()

    def without_passwords(self, line: str) -> str:
        """Return `line` as it may be shown."""
        for password in sorted(self._passwords, key=len, reverse=True):  # one may hold another
            line = line.replace(password, "***")
        return line
