# SPDX-License-Identifier: Apache-2.0
"""Runs in Windows Python: what a job says of the memory of those who are in it."""

import json
import subprocess
import sys

from mt5_agent import job

HELD_BYTES = 64 << 20
CHILD = f"held = bytearray({HELD_BYTES}); held[::4096] = b'x' * len(held[::4096]); print(); input()"


def main() -> None:
    """Look before there is a job, in it, with a child that holds memory, and after its end."""
    before = job.memory()
    job.bind_children(1 << 40)
    alone, limit = job.memory() or (0, 0)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe) as child:
        child.stdout.readline()  # type: ignore[union-attr]
        together, _ = job.memory() or (0, 0)
        child.communicate(b"\n")
    after, _ = job.memory() or (0, 0)
    seen = {
        "before": before,
        "limit": limit,
        "alone": alone > 0,
        "child_counts": together - alone > HELD_BYTES,
        "gone": after < together - HELD_BYTES,
    }
    print(json.dumps(seen))  # noqa: T201 -- its one output


main()
