# SPDX-License-Identifier: Apache-2.0
"""Runs in the agent's place: keeps a terminal as the agent does, once to a polite end and once to a
kill; prints what was seen."""

import json
import pathlib
import subprocess
import time
from collections.abc import Callable

KEEPER = "/opt/mt5/bin/terminal"
LOGS = pathlib.Path("/var/lib/mt5/terminal/logs")
PATIENCE_S = 60


def wait(claim: Callable[[], object]) -> None:
    """Wait until `claim` holds, or the patience is at its end."""
    end = time.monotonic() + PATIENCE_S
    while not claim() and time.monotonic() < end:
        time.sleep(0.1)


def journal() -> list[str]:
    """Return the journal's lines, without their times."""
    texts = [path.read_text("utf-16-le") for path in LOGS.glob("*.log")]
    return [line.split("\t")[-1] for text in texts for line in text.splitlines()]


def runs() -> bool:
    """Say whether a terminal runs in this container."""
    return any(name(path) == "terminal64.exe" for path in pathlib.Path("/proc").glob("[0-9]*/comm"))


def name(comm: pathlib.Path) -> str:
    """Return the name of a process, empty when it has just ended."""
    try:
        return comm.read_text().strip()
    except OSError:
        return ""


def main() -> None:
    """Keep two terminals."""
    first = subprocess.Popen([KEEPER], stdin=subprocess.PIPE)
    wait(journal)
    first.communicate(timeout=PATIENCE_S)
    told = journal()
    second = subprocess.Popen([KEEPER], stdin=subprocess.PIPE)
    wait(lambda: len(journal()) > len(told))
    was_there = runs()
    second.kill()
    second.wait()
    wait(lambda: not runs())
    seen = {"code": first.returncode, "journal": told, "ran": was_there, "left": runs()}
    print(json.dumps(seen))  # noqa: T201 -- its one output


main()
