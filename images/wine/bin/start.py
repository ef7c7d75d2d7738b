# SPDX-License-Identifier: Apache-2.0
"""The first process of the terminal's container: make ready what is writable, then keep the agent.

The image is read-only. Each start lays a fresh Wine prefix and restores the terminal's program
files, so that neither an update nor a broken registry outlives the container. The agent's end is
the container's end; everything else that ends is reaped, and the screen is started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

HOME: Final = Path("/opt/mt5")
DISPLAY: Final = ":0"
SCREEN: Final = "/tmp/.X11-unix/X0"  # noqa: S108 -- where the screen of that name listens
SCREEN_S: Final = 30.0
"""How long the screen may take to come up: nodes that start many pods at once are slow."""
LINKED_FROM_BYTES: Final = 4096
"""Files of C:\\windows from this size on are links into the image: less to copy, less memory."""

DATA: Final = "/var/lib/mt5/terminal"
START_FILE_FOLDERS: Final = (Path("/run/mt5/start"), Path("/tmp/mt5"))  # noqa: S108
"""Where the start file, which holds the password, may lie: a volume in memory, or where nobody
mounted one, the container's own."""
PYTHON: Final = "/opt/mt5/bin/windows-python"
TERMINAL: Final = "terminal64.exe"
NOWHERE: Final = HOME / "refused"
WINESERVER: Final = "/usr/lib/wine/wineserver64"

OWN: Final = ("bases", "config", "logs", "profiles", "tester", "mql5/logs", "mql5/files")
"""Folders of a portable terminal, in lower case, whose files are the terminal's data."""
PROGRAMS: Final = (".exe", ".dll")


def environment(given: Mapping[str, str], *, terminal: bool, refused: str = "") -> dict[str, str]:
    """Return the environment of everything in this container; what is given wins.

    `refused`: why the terminal that is there must not be started.
    """
    defaults = {
        "DISPLAY": DISPLAY,
        "WINEPREFIX": "/tmp/mt5/prefix",  # noqa: S108 -- the container's own volume
        "XDG_RUNTIME_DIR": "/tmp/mt5/run",  # noqa: S108
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "PYTHONPATH": "/opt/mt5/lib:/opt/mt5/linux",
        **agent_settings(given, terminal=terminal and not refused),
    }
    if refused:
        given = {
            **given,
            "MT5_AGENT_TERMINAL_PATH": f"{windows_path(str(NOWHERE))}\\{TERMINAL}",
            "MT5_AGENT_TERMINAL_MISSING_HINT": refused,
        }
    # HOME: a container runtime gives the user's, of the read-only image.
    found = {**defaults, **given, "HOME": "/tmp/mt5/home"}  # noqa: S108
    # Wine 10.0 of Debian 13 aborts at its start ("free(): invalid pointer") when TMPDIR is set.
    found.pop("TMPDIR", None)
    return found


def agent_settings(given: Mapping[str, str], *, terminal: bool) -> dict[str, str]:
    """Return what the agent must know of this image; without a terminal it finds none to start."""
    data = given.get("MT5_AGENT_DATA_DIR", DATA)
    settings = {
        "MT5_AGENT_BACKEND": "metatrader5",
        "MT5_AGENT_PLATFORM": "Linux",
        "MT5_AGENT_DATA_DIR": data,
        "MT5_AGENT_WORKER_COMMAND": PYTHON,
    }
    if given.get("MT5_AGENT_BACKEND") == "simulator":
        # In Windows Python as its worker is, which cannot reach a Unix socket.
        where = windows_path(data).replace("\\", "/")
        command = f"{PYTHON} -m mt5_simulator.terminal --data-dir {where} --platform Linux"
        settings |= {"MT5_AGENT_TERMINAL_COMMAND": command}
    elif terminal:
        settings |= {
            "MT5_AGENT_TERMINAL_COMMAND": "/opt/mt5/bin/terminal",
            "MT5_AGENT_TERMINAL_INI": str(start_file(START_FILE_FOLDERS)),
            "MT5_AGENT_TERMINAL_PATH": windows_path(data) + "\\terminal64.exe",
        }
    return settings


def start_file(folders: Sequence[Path]) -> Path:
    """Return where the start file is written: in the first of `folders` that can be, or the last,
    which is made later."""
    can_be = (folder for folder in folders if os.access(folder, os.W_OK))
    return next(can_be, folders[-1]) / "start.ini"


def refusal(image: Path, sha256: str) -> str:
    """Return why the terminal in `image` is not the one that was meant; empty: it is, or nobody
    said which was meant."""
    program = image / TERMINAL
    if not sha256 or not program.is_file():
        return ""
    with program.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found == sha256.strip().lower():
        return ""
    return (
        f"{program} has the sha256 {found}, and MT5_TERMINAL_SHA256 says {sha256}: mount the "
        "terminal that was meant, or correct the checksum. It is not started."
    )


def windows_path(path: str) -> str:
    """Return an absolute path of Linux as Windows programs under Wine see it."""
    return "Z:" + path.replace("/", "\\")


def lay_prefix(seed: Path, prefix: Path) -> None:
    """Make `prefix` anew from `seed`: what Wine writes is copied, the rest are links."""
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.mkdir(parents=True)
    windows = seed / "drive_c" / "windows"
    for source in walk(seed):
        target = prefix / source.relative_to(seed)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(exist_ok=True)
        elif windows in source.parents and source.stat().st_size >= LINKED_FROM_BYTES:
            target.symlink_to(source)
        else:
            shutil.copyfile(source, target)


def restore(image: Path, data: Path) -> bool:
    """Bring the program files in `data` to what `image` has; return whether there is a terminal."""
    if not (image / TERMINAL).is_file():
        return (data / TERMINAL).is_file()
    for source in walk(image):
        target = data / source.relative_to(image)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not (is_own(target.relative_to(data)) and target.exists()) and differs(source, target):
            shutil.copy2(source, target)
    for stray in [path for path in walk(data) if is_stray(path.relative_to(data), image)]:
        stray.unlink()
    return True


def is_own(path: PurePosixPath | Path) -> bool:
    """Say whether the terminal itself keeps data in `path`, which is relative to its folder."""
    return path.as_posix().lower().startswith(tuple(f"{folder}/" for folder in OWN))


def is_stray(path: PurePosixPath | Path, image: Path) -> bool:
    """Say whether `path` is a program that an update put there."""
    inside_mql5 = path.parts[0].lower() == "mql5"
    program = path.suffix.lower() in PROGRAMS
    return program and not inside_mql5 and not is_own(path) and not (image / path).exists()


def differs(source: Path, target: Path) -> bool:
    """Say whether `target` is another file, by size and time: contents would cost a read each."""
    if not target.is_file():
        return True
    ours, theirs = source.stat(), target.stat()
    return (ours.st_size, int(ours.st_mtime)) != (theirs.st_size, int(theirs.st_mtime))


def walk(root: Path) -> Iterator[Path]:
    """Yield everything below `root`, folders before what is in them; links are not followed."""
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


@dataclass
class Children:
    """The processes of this container by pid, and what to start again."""

    env: dict[str, str]
    services: dict[int, list[str]] = field(default_factory=dict)
    agent: int = 0

    def start(self, argv: list[str]) -> int:
        """Start a process that may receive every signal that we hold back."""
        return os.posix_spawn(argv[0], argv, self.env, setsigmask=[])

    def serve(self, argv: list[str]) -> None:
        """Start a process, and again whenever it ends."""
        self.services[self.start(argv)] = argv

    def reap(self) -> int | None:
        """Reap all that ended; return the agent's exit code once it is among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            if pid == self.agent:
                return os.waitstatus_to_exitcode(status)
            if pid in self.services:
                # One that cannot start must not spin. A signal in this second comes to `keep`.
                time.sleep(1)
                self.serve(self.services.pop(pid))

    def tell_agent(self, number: int) -> None:
        """Hand a signal on."""
        os.kill(self.agent, number)


def screen(given: Mapping[str, str]) -> list[list[str]]:
    """Return the commands of the screen, its window manager, and the viewer if wanted.

    Nobody looks without a password: what is wanted is a file that holds one.
    """
    commands = [
        [f"{HOME}/bin/screen"],
        ["/usr/bin/matchbox-window-manager", "-use_titlebar", "no"],
    ]
    if password_file := given.get("MT5_VIEWER_PASSWORD_FILE"):
        commands.append([f"{HOME}/bin/viewer", password_file])
    return commands


def leave_no_core() -> None:
    """Have no process of this container leave a core file, which would hold the password.

    A size of one byte, and not none: the kernel hands cores to a node's collector whatever the
    size, but for this one. Where it may not be set, what a core holds is left out.
    """
    import resource  # this file is read on Windows, too, which has none

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0")


def main() -> int:
    """Prepare, start, wait; return the agent's exit code."""
    leave_no_core()
    signals = [signal.SIGCHLD, signal.SIGTERM, signal.SIGINT]
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    data = Path(os.environ.get("MT5_AGENT_DATA_DIR", DATA))
    refused = refusal(HOME / "terminal", os.environ.get("MT5_TERMINAL_SHA256", ""))
    terminal = not refused and restore(HOME / "terminal", data)
    env = environment(os.environ, terminal=terminal, refused=refused)
    make_ready(env)
    children = Children(env)
    for argv in screen(os.environ) if terminal else ():
        children.serve(argv)
    if terminal:
        await_screen()
    children.agent = children.start(sys.argv[1:] or ["/usr/bin/python3", "-m", "mt5_agent"])
    code = keep(children, signals)
    os.posix_spawn(WINESERVER, [WINESERVER, "-k"], env, setsigmask=[])
    for pid in children.services:
        os.kill(pid, signal.SIGTERM)
    return code if code >= 0 else 128 - code


def await_screen() -> None:
    """Wait until there is a screen, before Wine's first program and before each terminal.

    Wine looks for a screen when its first program starts. Where there is none by then, no program
    has a window until all of Wine ends, and the terminal cannot run without. So it is when the
    screen ended: it takes the terminal along, and both are started again.
    """
    if not listens(SCREEN, within_s=SCREEN_S):
        sys.stderr.write(f"no screen after {SCREEN_S:g} s: the terminal may have no window\n")


def listens(path: str, *, within_s: float) -> bool:
    """Wait until somebody listens on a Unix socket; return whether anybody does."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(path)
            except OSError:
                time.sleep(0.05)
            else:
                return True
    return False


def make_ready(env: Mapping[str, str]) -> None:
    """Make the folders that `env` names, and the prefix."""
    for name in ("HOME", "XDG_RUNTIME_DIR"):
        Path(env[name]).mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only root's X server makes it by itself.
    sockets = Path("/tmp/.X11-unix")  # noqa: S108
    sockets.mkdir(exist_ok=True)
    sockets.chmod(0o1777)
    lay_prefix(HOME / "prefix", Path(env["WINEPREFIX"]))


def keep(children: Children, signals: list[signal.Signals]) -> int:
    """Wait for the agent's end, passing signals to it meanwhile; return its exit code."""
    while True:
        number = signal.sigwait(signals)
        if number != signal.SIGCHLD:
            children.tell_agent(number)
        elif (code := children.reap()) is not None:
            return code


if __name__ == "__main__":
    sys.exit(main())
