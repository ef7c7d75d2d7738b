# SPDX-License-Identifier: Apache-2.0
"""What mounts leaves no mount and no process, however it or we end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.command import run
from cluster.contained import CONTAINED, Mounts, mounts, unmount_below
from cluster.paths import REPOSITORY, cache

pytestmark = pytest.mark.e2e  # root
LIMIT_S = 20.0
_BUILD = """
import subprocess, sys
from cluster.contained import CONTAINED
mount = 'mount -t tmpfs tmpfs "$0" && touch "$0/there" && sleep 1001'
subprocess.run([*CONTAINED, "sh", "-c", mount, sys.argv[1]])
"""
_KEEP = """
import pathlib, subprocess, sys
from cluster.contained import mounts
with mounts() as own:
    place = sys.argv[1]
    subprocess.run(own.enter(["mount", "-t", "tmpfs", "tmpfs", place]), check=True)
    own.outside(pathlib.Path(place, "there")).touch()
    subprocess.run(own.enter(["sleep", "1002"]))
"""


def _until(claim: Callable[[], bool], what: str, *, within_s: float = LIMIT_S) -> None:
    end_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def _seen_by(place: Path) -> list[str]:
    """Return the processes in whose mount namespace something is mounted at `place` or below."""
    found = []
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if re.search(rf" {re.escape(str(place))}[/ ]", table.read_text()):
                found.append(table.parent.name)
        except OSError:
            continue  # it has ended
    return found


@pytest.mark.parametrize("program", [_BUILD, _KEEP], ids=["a command", "a namespace"])
def test_a_killed_run_leaves_neither_mounts_nor_processes(tmp_path: Path, program: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")}
    with subprocess.Popen([sys.executable, "-c", program, place], env=environment) as ours:
        try:
            _until(lambda: len(_seen_by(place)) > 1, "nothing was mounted")
            assert str(os.getpid()) not in _seen_by(place)  # the host never sees it
        finally:
            ours.kill()

    _until(lambda: not _seen_by(place), "a mount outlives who made it")
    assert list(place.iterdir()) == []


_IMAGE = """
import pathlib, sys
from cluster import images
folder = pathlib.Path(sys.argv[1])
made = images.build_image(sys.argv[2], dockerfile=folder / "Dockerfile", context=folder)
print(made.archive)
"""


@pytest.mark.timeout(600)  # it may wait for another build
def test_a_killed_build_of_an_image_leaves_nothing_and_the_next_one_succeeds(
    tmp_path: Path,
) -> None:
    name, mark = "localhost/test-cluster/killed", f"sleep 1{os.getpid()}"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")}
    command = [sys.executable, "-c", _IMAGE, tmp_path, name]
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM debian:trixie-slim\nRUN {mark}\n")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as ours:
        _until(lambda: mark in run(["ps", "-eo", "args"]), "the build did not begin", within_s=500)
        mounted = _seen_by(cache() / "containers" / "storage")
        ours.kill()

    _until(lambda: mark not in run(["ps", "-eo", "args"]), "the build outlives us")
    assert mounted
    assert str(os.getpid()) not in mounted
    dockerfile.write_text(f"FROM debian:trixie-slim\nRUN echo {os.getpid()} >/made\n")
    archive = Path(run(command, env=environment).strip())
    assert archive.exists()
    for file in archive.parent.glob("localhost-test-cluster-killed-*"):
        file.unlink()


def test_a_command_that_ends_by_itself_says_how(tmp_path: Path) -> None:
    assert run([*CONTAINED, "sh", "-c", "echo $$"]).strip() != str(os.getpid())
    assert subprocess.run([*CONTAINED, "sh", "-c", "exit 7"]).returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_a_kept_namespace_is_reached_from_outside_while_it_lasts(tmp_path: Path) -> None:
    with mounts() as own:
        run(own.enter(["mount", "-t", "tmpfs", "tmpfs", tmp_path]))
        own.outside(tmp_path / "file").write_text("inside")

        assert run(own.enter(["cat", tmp_path / "file"])) == "inside"
        assert list(tmp_path.iterdir()) == []

    _until(lambda: not _seen_by(tmp_path), "a mount outlives its namespace")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """Return a directory whose mounts are every namespace's, as systemd makes all of a host's."""
    run(["mount", "-t", "tmpfs", "tmpfs", tmp_path])
    run(["mount", "--make-rshared", tmp_path])
    (tmp_path / "place").mkdir()
    yield tmp_path / "place"
    unmount_below(tmp_path)


def test_what_is_mounted_where_mounts_are_shared_does_not_reach_the_host(shared: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "tmpfs", shared]
    with mounts() as own:
        run(own.enter(mount))
        own.outside(shared / "file").touch()
        assert _here(shared) == []

    run([*CONTAINED, "sh", "-c", 'mount -t tmpfs tmpfs "$0" && touch "$0/file"', shared])
    assert _here(shared) == []


def test_what_the_host_mounts_where_mounts_are_shared_does_not_reach_a_namespace(
    shared: Path,
) -> None:
    with mounts() as own:
        run(["mount", "-t", "tmpfs", "tmpfs", shared])
        (shared / "file").touch()

        assert not own.outside(shared / "file").exists()


def _here(place: Path) -> list[str]:
    return [str(path) for path in place.iterdir()] + [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(place) in line
    ]


def test_mounts_of_who_could_not_clean_up_are_removed(tmp_path: Path) -> None:
    inner, beside = tmp_path / "a b" / "inner", tmp_path.parent / f"{tmp_path.name}-beside"
    inner.mkdir(parents=True)
    beside.mkdir()
    for place in (tmp_path, beside):
        run(["mount", "--bind", place, place])
    run(["mount", "-t", "tmpfs", "tmpfs", inner])
    try:
        unmount_below(tmp_path)

        here = str(os.getpid())
        assert here not in [*_seen_by(tmp_path), *_seen_by(inner)]
        assert here in _seen_by(beside)
    finally:
        run(["umount", beside])


def test_a_namespace_of_no_process_is_no_place() -> None:
    assert Mounts(7).outside(Path("/a/b")) == Path("/proc/7/root/a/b")
