# SPDX-License-Identifier: Apache-2.0
"""Put a terminal into the image: `bake_terminal.py DIRECTORY SHA256`.

DIRECTORY holds one file: an archive of a portable terminal, or an installer (`.exe`, which needs
the network). It is started once, so that the first start's compiling happens here, and closed.
Nothing given: the image has no terminal, and says so in each account.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

sys.path.insert(0, "/opt/mt5/bin")
import start

TERMINAL: Final = "terminal64.exe"
TARGET: Final = Path("/opt/mt5/terminal")
WORK: Final = Path("/tmp/bake")  # noqa: S108 -- of a build's container
FIRST_START_S: Final = 600.0
"""Longest first start. Source: MT5.md 1.6, compiling took about 100 s elsewhere."""
QUIET_S: Final = 30.0
"""The first start is over when the journal has said nothing for so long."""
CLOSE_S: Final = 60.0
OF_THE_FIRST_START: Final = ("accounts.dat", "settings.ini", "common.ini", "terminal.ini")


class CannotBake(Exception):
    """What was given is not a terminal, or not the one that was meant."""


def given(directory: Path) -> Path | None:
    """Return the one file in `directory`, None when it is empty.

    Raises:
        CannotBake: There is more than one.
    """
    files = [path for path in directory.iterdir() if path.is_file()]
    if len(files) > 1:
        raise CannotBake(f"one archive or installer, please; there are {len(files)}")
    return files[0] if files else None


def check(file: Path, sha256: str) -> None:
    """Compare the file with the checksum that it was asked for by.

    Raises:
        CannotBake: They differ, or there is no checksum.
    """
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not sha256:
        raise CannotBake(f"--build-arg TERMINAL_SHA256 is missing; {file.name} has {found}")
    if found != sha256.lower():
        raise CannotBake(f"{file.name} has sha256 {found}, not {sha256.lower()}")


def unpack(file: Path, work: Path) -> None:
    """Unpack an archive into `work`; members that would leave it are refused.

    Raises:
        CannotBake: It is no archive that we know.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(work)  # noqa: S202 -- zipfile itself stays inside
    elif tarfile.is_tarfile(file):
        with tarfile.open(file) as archive:
            archive.extractall(work, filter="data")
    else:
        raise CannotBake(f"{file.name} is neither a zip nor a tar archive, nor an .exe")


def install(file: Path, env: Mapping[str, str]) -> None:
    """Run the installer unattended: it downloads the terminal, and exits with 1 on success."""
    subprocess.run(["/usr/lib/wine/wine64", file, "/auto"], env=env, timeout=FIRST_START_S)  # noqa: S603


def tree(*roots: Path) -> Path:
    """Return the one folder below `roots` that holds a terminal.

    Raises:
        CannotBake: There is none, or more than one.
    """
    found = [path.parent for root in roots for path in root.rglob(TERMINAL)]
    if len(found) != 1:
        raise CannotBake(f"{len(found)} folders hold a {TERMINAL}; there must be one")
    return found[0]


def first_start(data: Path, env: Mapping[str, str]) -> None:
    """Start the terminal, wait until its journal falls silent, close it.

    Raises:
        CannotBake: It ended by itself.
    """
    process = subprocess.Popen(["/opt/mt5/bin/terminal"], env=env)
    try:
        wait(lambda: process.poll() is not None or silent(data), FIRST_START_S)
        subprocess.run(["/opt/mt5/bin/stop-terminal"], env=env)
        wait(lambda: process.poll() is not None, CLOSE_S)
    finally:
        subprocess.run(["/opt/mt5/bin/stop-terminal", "--kill"], env=env)
        process.wait()


def silent(data: Path) -> bool:
    """Say whether the terminal has written a journal, and nothing more for a while."""
    journals = [path for path in data.glob("*/*.log") if path.parent.name.lower() == "logs"]
    newest = max((path.stat().st_mtime for path in journals), default=None)
    return newest is not None and time.time() - newest > QUIET_S


def wait(done: Callable[[], bool], limit_s: float) -> None:
    """Wait until `done`, or until `limit_s` have passed: what then is there is taken."""
    end = time.monotonic() + limit_s
    while not done() and time.monotonic() < end:
        time.sleep(0.5)


def clean(data: Path) -> None:
    """Remove what belongs to the machine of this build: journals, accounts, its settings."""
    for path in [path for path in start.walk(data) if path.name.lower() in OF_THE_FIRST_START]:
        path.unlink()
    for path in [path for path in data.iterdir() if path.name.lower() == "logs"]:
        shutil.rmtree(path)


@contextmanager
def wine() -> Iterator[dict[str, str]]:
    """Give the environment of a prefix with a screen; both are gone afterwards."""
    env = start.environment({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, terminal=True)
    start.make_ready(env)
    screen = [subprocess.Popen(argv, env=env) for argv in start.screen({})]  # noqa: S603
    try:
        yield env
    finally:
        subprocess.run([start.WINESERVER, "-k"], env=env)  # noqa: S603
        for process in reversed(screen):
            process.terminate()
            process.wait()
        shutil.rmtree(Path(env["HOME"]).parent)


def bake(file: Path, env: Mapping[str, str]) -> None:
    """Put the terminal of `file` where pods take it from."""
    if file.suffix.lower() == ".exe":
        install(file, env)
    else:
        unpack(file, WORK)
    found = tree(WORK, Path(env["WINEPREFIX"], "drive_c"))
    first_start(found, {**env, "MT5_AGENT_DATA_DIR": str(found)})
    clean(found)
    shutil.copytree(found, TARGET, dirs_exist_ok=True)
    shutil.rmtree(WORK)


def main(directory: str, sha256: str) -> None:
    """Bake what was given, if anything was."""
    file = given(Path(directory))
    if file is None:
        return
    check(file, sha256)
    WORK.mkdir()
    with wine() as env:
        bake(file, env)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except CannotBake as refusal:
        sys.exit(f"terminal: {refusal}")
