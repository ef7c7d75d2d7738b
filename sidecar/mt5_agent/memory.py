# SPDX-License-Identifier: Apache-2.0
"""How much memory the container uses, and how much it may use before the kernel kills in it.

Read from the cgroup: under Wine most of the terminal's memory belongs to processes that are not
our children. On Windows from the job that all of them are in.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mt5_agent import job

SOFT_SHARE: Final = 0.9
"""Of the container's limit, where no setting says otherwise: history that was pulled in stays in
the terminal until it is started again."""
_OURS: Final = ("anon", "shmem")
"""What the kernel cannot give back; the page cache it can."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What was read at one moment."""

    used_bytes: int
    soft_limit_bytes: int

    @property
    def is_over(self) -> bool:
        """Tell whether a restart is due."""
        return self.used_bytes > self.soft_limit_bytes


def look(folder: Path, soft_limit_bytes: int) -> Memory | None:
    """Return what our job says, or `folder`, a cgroup's; None where it has no limit and none was
    set."""
    seen = job.memory() or _of_cgroup(folder)
    if seen is None:
        return None
    used, limit = seen
    soft = soft_limit_bytes or int(limit * SOFT_SHARE)
    return Memory(used_bytes=used, soft_limit_bytes=soft) if soft else None


def _of_cgroup(folder: Path) -> tuple[int, int] | None:
    try:
        stat = (folder / "memory.stat").read_text(encoding="ascii")
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return _used(stat), int(limit) if limit.isdecimal() else 0  # "max"


def _used(stat: str) -> int:
    lines = (line.partition(" ") for line in stat.splitlines())
    return sum(int(number) for name, _, number in lines if name in _OURS)
