# SPDX-License-Identifier: Apache-2.0
"""Runs in Windows Python beside a screen: starts a terminal and closes it as the agent does."""

import json
import pathlib
import subprocess
import time

from mt5_agent import windows

TERMINAL = pathlib.Path("Z:/var/lib/mt5/terminal/terminal64.exe")
PATIENCE_S = 60


def journal() -> list[str]:
    """Return the journal's lines, without their times."""
    texts = [path.read_text("utf-16-le") for path in (TERMINAL.parent / "logs").glob("*.log")]
    return [line.split("\t")[-1] for text in texts for line in text.splitlines()]


def main() -> None:
    """Start, wait for its window, close."""
    with subprocess.Popen([TERMINAL], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + PATIENCE_S
        while not journal() and time.monotonic() < end:
            time.sleep(0.1)
        others = windows.ask_to_close(process.pid + 100_000)
        closed = windows.ask_to_close(process.pid)
        code = process.wait(PATIENCE_S)
    seen = {"windows": closed, "others": others, "code": code, "journal_ends": journal()[-1]}
    print(json.dumps(seen))  # noqa: T201 -- its one output


main()
