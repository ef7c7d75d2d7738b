# SPDX-License-Identifier: Apache-2.0
"""The Wine image as tests build it, and its files under a pod's restrictions but without a node."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.command import run, succeeds
from cluster.contained import Mounts, mounts, unmount_below
from cluster.images import Image, build_image
from cluster.paths import REPOSITORY, cache

POD: Final = Path(__file__).with_name("pod.sh")
PYTHON: Final = "/opt/mt5/bin/windows-python"
START_S: Final = 120.0
"""Longest wait for Wine on a busy machine; 3 s on an idle one."""


def build(*, name: str = "localhost/mt5-bridge/wine") -> Image:
    """Return the Wine image, with Windows Python from a package registry."""
    return build_image(
        name,
        dockerfile=REPOSITORY / "images" / "wine" / "Dockerfile",
        context=REPOSITORY,
        arguments={"PYTHON_SOURCE": "package"},
    )


@dataclass(frozen=True)
class Root:
    """The image's root file system, mounted where only processes that enter `mounts` see it."""

    mounts: Mounts
    inside: Path

    @property
    def outside(self) -> Path:
        """Return where it can be read and changed from here."""
        return self.mounts.outside(self.inside)


@contextmanager
def unpacked(image: Image) -> Iterator[Root]:
    """Give the image's root file system; layers of an earlier image are not unpacked again.

    Nothing of it stays mounted, however this process ends. A container that a killed run left is
    removed by the next one that is alone.
    """
    with _shared(), mounts() as own:
        have = run([*_buildah(own), "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
        # By name, or read from its archive, which takes some seconds.
        source = image.name if image.name in have else f"docker-archive:{image.archive}"
        container = run([*_buildah(own), "from", "--pull-never", *_policy(), source]).strip()
        for older in {*have} - {image.name}:
            succeeds([*_buildah(own), "rmi", older])  # another run may be using it
        try:
            yield Root(own, Path(run([*_buildah(own), "mount", container]).strip()))
        finally:
            run([*_buildah(own), "rm", container])


class Pod:
    """A root file system in which processes run as in a pod: no rights, read-only, own /tmp."""

    def __init__(self, root: Root) -> None:
        """Run in `root`."""
        self._root = root

    def start(self, argv: Sequence[str] = (), **env: str) -> subprocess.Popen[str]:
        """Start the image's entry point, with `argv` in the agent's place if any is given."""
        given = [f"{key}={value}" for key, value in env.items()]
        return subprocess.Popen(
            self._root.mounts.enter([POD, self._root.inside, *given, "--", *argv]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def path(self, name: str) -> Path:
        """Return where a path of the container is, to change it from outside."""
        return self._root.outside / name

    def write(self, path: str, text: str) -> None:
        """Put a file where another container of the pod would."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def signal(self, process: subprocess.Popen[str], number: int) -> None:
        """Send a signal to the container's first process, if it still runs."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)

    def end(self, process: subprocess.Popen[str]) -> None:
        """End everything in the container at once: the kernel does so with its first process."""
        if process.poll() is None:
            self.signal(process, signal.SIGKILL)
        process.wait()

    def python(self, source: str, *arguments: str) -> str:
        """Run Windows Python on a program's text; return what it printed."""
        with self.start([PYTHON, "-c", source, *arguments]) as process:
            try:
                output, errors = process.communicate(timeout=START_S)
            finally:
                self.end(process)
        assert process.returncode == 0, errors
        return output


def _buildah(own: Mounts) -> list[str | Path]:
    storage = _storage()
    places = [f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}"]
    return own.enter(["buildah", *places])


@contextmanager
def _shared() -> Iterator[None]:
    """Keep the storage from being cleaned by others; clean it where nobody else uses it."""
    storage = _storage()
    storage.mkdir(parents=True, exist_ok=True)
    with (storage / ".lock").open("w") as lock:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unmount_below(storage)
            with mounts() as own:
                succeeds([*_buildah(own), "rm", "--all"])
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _storage() -> Path:
    return cache() / "wine-root"


def _policy() -> list[str]:
    return [f"--signature-policy={cache() / 'containers' / 'policy.json'}"]
