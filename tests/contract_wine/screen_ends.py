# SPDX-License-Identifier: Apache-2.0
"""Runs in the agent's place: ends the screen, whose lock then names a process that is another one;
prints whether the terminal had a window before and has one after it."""

import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable

KEEPER = "/opt/mt5/bin/terminal"
LOGS = pathlib.Path("/var/lib/mt5/terminal/logs")
LOCK = pathlib.Path("/tmp/.X0-lock")  # noqa: S108 -- where a screen has it
PATIENCE_S = 60


def wait(claim: Callable[[], object]) -> None:
    """Wait until `claim` holds, or the patience is at its end."""
    end = time.monotonic() + PATIENCE_S
    while not claim() and time.monotonic() < end:
        time.sleep(0.05)


def journal() -> list[str]:
    """Return the journal's lines, without their times."""
    texts = [path.read_text("utf-16-le") for path in LOGS.glob("*.log")]
    return [line.split("\t")[-1] for text in texts for line in text.splitlines()]


def main() -> None:
    """Keep a terminal on a screen that ends, and the next one."""
    # The worker: with it Wine's server lives on.
    python = ["/opt/mt5/bin/windows-python", "-c", "input()"]
    worker = subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    first = subprocess.Popen([KEEPER], stdin=subprocess.PIPE)
    wait(journal)
    screen = int(LOCK.read_text())
    LOCK.unlink()
    LOCK.write_text(f"{os.getpid():10d}\n")
    os.kill(screen, signal.SIGKILL)
    first.wait(PATIENCE_S)
    before = journal()
    second = subprocess.Popen([KEEPER], stdin=subprocess.PIPE)
    wait(lambda: len(journal()) > len(before))
    after = journal()[len(before) :]
    second.kill()
    worker.kill()
    print(json.dumps({"before": before, "after": after}))  # noqa: T201 -- its one output


main()
