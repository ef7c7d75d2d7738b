# SPDX-License-Identifier: Apache-2.0
"""Long-running programs that are started, found again and ended, and never mistaken for others.

A program records itself: a shell writes its own line of `/proc/PID/stat` and then becomes the
program. So there is no moment in which it runs unrecorded, and a process id that was used again
by the system is told from ours by the start time in that line.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cluster.command import environment_without_proxies
from cluster.errors import NotReady
from cluster.waiting import wait_for

_RECORD_AND_BECOME: Final = 'read -r stat </proc/$$/stat; echo "$stat" >"$0"; exec "$@"'

# Children of this process, by their ids: whoever asks for one by its record can bury it.
_children: Final[dict[int, subprocess.Popen[bytes]]] = {}


@dataclass(frozen=True)
class Identity:
    """One process, never to be confused with a later one of the same id.

    `started` is in clock ticks since boot. Source: proc(5), /proc/pid/stat, field 22.
    """

    pid: int
    started: int


def identity(stat: str) -> Identity | None:
    """Return whose line of `/proc/PID/stat` this is; None if it is dead, unburied or not whole."""
    pid, _, rest = stat.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    if not stat.endswith("\n") or fields[0] in "ZX":
        return None
    return Identity(int(pid), int(fields[19]))


def living(pid: int) -> Identity | None:
    """Return the identity of the process that has this id now."""
    try:
        return identity(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


@dataclass
class Program:
    """A long-running program of a cluster: its command, log and record."""

    name: str
    argv: Sequence[str]
    directory: Path
    outlives_us: bool
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Return the file that holds its output."""
        return self.directory / "logs" / f"{self.name}.log"

    @property
    def running(self) -> Identity | None:
        """Return the process, if it lives; also one that an earlier command started."""
        recorded = self._recorded()
        return recorded if recorded and living(recorded.pid) == recorded else None

    def start(self) -> None:
        """Start it unless it runs; its end is ours too, unless it `outlives_us`."""
        if self.running:
            return
        for file in (self.log, self._record):
            file.parent.mkdir(parents=True, exist_ok=True)
        self._record.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [*self._leash(), "/bin/sh", "-c", _RECORD_AND_BECOME, self._record, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment_without_proxies() | dict(self.env),
                cwd=self.directory,
                start_new_session=True,
            )
        _children[child.pid] = child
        wait_for(
            lambda: self._has_begun(child),
            what=f"{self.name} to start",
            timeout_s=10,
            interval_s=0.005,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if process := self.running:
            os.kill(process.pid, number)

    def stop(self, *, grace_s: float = 15) -> None:
        """End it and wait for its end; after `grace_s` by force."""
        self.signal(signal.SIGTERM)
        try:
            self.wait_for_end(timeout_s=grace_s)
        except NotReady:
            self.kill()
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it by force, as a crash would, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait_for_end(timeout_s=10)
        self._record.unlink(missing_ok=True)

    def wait_for_end(self, *, timeout_s: float) -> None:
        """Wait until it does not run any more.

        Raises:
            NotReady: it still runs after `timeout_s`.
        """
        wait_for(
            lambda: self.running is None,
            what=f"{self.name} to end",
            timeout_s=timeout_s,
            interval_s=0.02,
        )
        recorded = self._recorded()
        if recorded and (child := _children.pop(recorded.pid, None)):
            child.wait()  # buries it

    def last_words(self) -> str:
        """Return where its log is, and how that ends."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"{self.log} ends:", *lines[-8:]])

    @property
    def _record(self) -> Path:
        return self.directory / "pids" / self.name

    def _recorded(self) -> Identity | None:
        return identity(self._record.read_text()) if self._record.exists() else None

    def _has_begun(self, child: subprocess.Popen[bytes]) -> bool:
        return child.poll() is not None or self._recorded() is not None

    def _leash(self) -> list[str]:
        # Without it, a killed pytest would leave its cluster running.
        return [] if self.outlives_us else ["setpriv", "--pdeathsig", "KILL", "--"]
