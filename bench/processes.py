# SPDX-License-Identifier: Apache-2.0
"""Processes that are measured: started on a core, asked for time and memory, and always ended."""

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.cores import on
from cluster.paths import REPOSITORY

GRACE_S: Final = 20
_PATH: Final = [REPOSITORY / name for name in (".", "operator", "sidecar", "tests")]


class Started:
    """One child of ours; its output goes to a file."""

    def __init__(
        self,
        argv: Sequence[object],
        log: Path,
        *,
        core: int,
        env: Mapping[str, object] | None = None,
    ) -> None:
        self._log = log
        settings = {name: str(value) for name, value in (env or {}).items()}
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, _PATH))}
        with log.open("wb") as output, on(core):
            self._process = subprocess.Popen(
                # With us it ends, however we end.
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)],
                env=own | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def running(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.poll() is None

    def check(self) -> None:
        """Fail with its own last words if it has ended."""
        ended = self._process.poll() is not None
        assert not ended, self._log.read_text(errors="replace")[-2000:]

    def end(self) -> None:
        """End it, kindly first."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cpu_s(pids: Iterable[int]) -> float:
    """Return the time that these processes, all threads of each, spent on a core.

    Source: Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat: nanoseconds.
    """
    total_ns = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1e9


def rss_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM now."""
    return _status_bytes(pid, "VmRSS")


def anonymous_bytes(pid: int) -> int:
    """Return what of it no file is behind: heap and stacks, which the kernel cannot drop."""
    return _status_bytes(pid, "RssAnon")


def peak_rss_bytes(pid: int) -> int:
    """Return the most memory that a process ever had in RAM."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int, field: str) -> int:
    # Source: proc_pid_status(5): in units of 1024 bytes.
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def pss_bytes(pid: int) -> int:
    """Return what a process adds to its container: pages shared by n processes count as 1/n."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def descendants(pid: int) -> list[int]:
    """Return the processes that `pid` started, and those that they started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found
