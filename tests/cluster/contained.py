# SPDX-License-Identifier: Apache-2.0
"""Programs that mount: in namespaces of their own, so that nothing of them outlives us.

A build that is killed cannot clean up behind itself. The kernel can: with the last process of a
mount namespace its mounts are gone, and with the first process of a process namespace all others.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.command import run
from cluster.errors import CommandFailed

DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")
CONTAINED: Final = (
    *DIES_WITH_US,
    *("unshare", "--mount", "--propagation=private", "--pid", "--mount-proc"),
    *("--fork", "--kill-child=KILL", "--"),
)
"""Before a command: its mounts and its children are gone when it is, and it is when we are."""


@dataclass(frozen=True)
class Mounts:
    """A mount namespace that a process of ours keeps."""

    pid: int

    def outside(self, path: Path) -> Path:
        """Return where what is at `path` in there can be reached from here."""
        return Path(f"/proc/{self.pid}/root", *path.parts[1:])

    def enter(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """Return the command that runs `argv` in there, and no longer than we live."""
        return [*DIES_WITH_US, "nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--", *argv]


@contextmanager
def mounts() -> Iterator[Mounts]:
    """Give a mount namespace; it is gone with the last process in it."""
    # `cat` ends when its stdin closes: when this context does, or this process, however that ends.
    argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", "echo && exec cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdout.readline()  # it is in its own namespace now
        try:
            yield Mounts(keeper.pid)
        finally:
            keeper.stdin.close()


def unmount_below(folder: Path) -> None:
    """Unmount what is mounted at `folder` or below: left by who could not clean up.

    Call it only where nobody else can be using it.
    """
    for point in reversed(_mounted_below(folder)):
        with suppress(CommandFailed):  # it went in the meantime
            run(["umount", "--lazy", point])


def _mounted_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [re.sub(r"\\040", " ", line.split()[4]) for line in lines]
    place = os.path.realpath(folder)
    return sorted(point for point in points if f"{point}/".startswith(f"{place}/"))
