# SPDX-License-Identifier: Apache-2.0
"""Lay a terminal into the Windows image: `unpack_terminal.py DIRECTORY SHA256 TARGET`.

Only unpacked, not started: there is no Windows where this runs. Bring the archive of a portable
terminal that has been started once. Nothing given: no terminal.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import bake_terminal


def main(directory: str, sha256: str, target: str) -> None:
    """Check, unpack and clean what was given, if anything was."""
    Path(target).mkdir(parents=True)
    file = bake_terminal.given(Path(directory))
    if file is None:
        return
    bake_terminal.check(file, sha256)
    work = Path(target).with_name("unpacked")
    bake_terminal.unpack(file, work)
    found = bake_terminal.tree(work)
    bake_terminal.clean(found)
    shutil.copytree(found, target, dirs_exist_ok=True)
    shutil.rmtree(work)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except bake_terminal.CannotBake as refusal:
        sys.exit(f"terminal: {refusal}")
