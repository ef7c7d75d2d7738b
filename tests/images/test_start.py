# SPDX-License-Identifier: Apache-2.0
"""What each start of the Wine container makes ready, on plain folders."""

import hashlib
import importlib.util
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from cluster.paths import REPOSITORY

SCRIPTS = {"start": "bin/start.py", "bake_terminal": "build/bake_terminal.py"}


def load(name: str) -> ModuleType:
    """Return a script of the image as a module."""
    spec = importlib.util.spec_from_file_location(
        name, REPOSITORY / "images" / "wine" / SCRIPTS[name]
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up; bake_terminal imports start
    spec.loader.exec_module(module)
    return module


start = load("start")
bake_terminal = load("bake_terminal")


def write(root: Path, *names: str, text: str = "image") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_000_000, 1_000_000))


def content(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return a terminal as an image holds it."""
    folder = tmp_path / "image"
    write(folder, "terminal64.exe", "Config/servers.dat", "MQL5/Include/Trade.mqh")
    return folder


def test_a_first_start_gets_the_whole_terminal(image: Path, tmp_path: Path) -> None:
    assert start.restore(image, tmp_path / "data")

    assert content(tmp_path / "data") == content(image)


def test_an_update_does_not_outlive_a_restart(image: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    start.restore(image, data)
    write(data, "terminal64.exe", "liveupdate/mt5clw64.exe", "new.dll", text="a newer build")

    start.restore(image, data)

    assert content(data) == content(image)


def test_what_the_terminal_keeps_is_kept(image: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    start.restore(image, data)
    own = ("Config/servers.dat", "Config/accounts.dat", "bases/x/history.hcc", "MQL5/Files/a.csv")
    write(data, *own, "MQL5/Experts/mine.dll", text="own")

    start.restore(image, data)

    kept = content(data)
    assert {kept[name] for name in own} == {"own"}
    assert kept["MQL5/Experts/mine.dll"] == "own"


def test_without_a_terminal_in_the_image_one_in_the_volume_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert not start.restore(tmp_path / "nothing", data)
    write(data, "terminal64.exe", text="brought")

    assert start.restore(tmp_path / "nothing", data)
    assert content(data) == {"terminal64.exe": "brought"}


def test_a_prefix_is_made_of_links_and_of_copies_of_what_wine_writes(tmp_path: Path) -> None:
    seed, prefix = tmp_path / "seed", tmp_path / "prefix"
    write(seed, "system.reg", "drive_c/windows/win.ini")
    write(seed, "drive_c/windows/system32/large.dll", text="x" * 10_000)
    (seed / "dosdevices").mkdir()
    (seed / "dosdevices" / "z:").symlink_to("/")
    write(prefix, "left-over")

    start.lay_prefix(seed, prefix)

    library = prefix / "drive_c/windows/system32/large.dll"
    assert library.readlink() == seed / "drive_c/windows/system32/large.dll"
    assert not (prefix / "system.reg").is_symlink()
    assert (prefix / "dosdevices" / "z:").readlink() == Path("/")
    assert not (prefix / "left-over").exists()


def test_tmpdir_is_never_handed_on_because_wine_would_abort() -> None:
    assert "TMPDIR" not in start.environment({"TMPDIR": "/x"}, terminal=True)


def test_home_is_the_containers_own_whatever_the_runtime_says() -> None:
    env = start.environment({"HOME": "/root", "MT5_AGENT_PLATFORM": "Windows"}, terminal=False)

    assert env["HOME"].startswith("/tmp/")  # noqa: S108
    assert env["MT5_AGENT_PLATFORM"] == "Windows"


def test_without_a_terminal_the_agent_is_left_to_find_none() -> None:
    assert "MT5_AGENT_TERMINAL_COMMAND" not in start.environment({}, terminal=False)


def test_the_worker_is_told_the_terminals_place_as_windows_sees_it() -> None:
    env = start.environment({"MT5_AGENT_DATA_DIR": "/data/t"}, terminal=True)

    assert env["MT5_AGENT_TERMINAL_PATH"] == "Z:\\data\\t\\terminal64.exe"


def test_the_start_file_lies_in_memory_where_a_volume_for_it_is_mounted(tmp_path: Path) -> None:
    memory, other = tmp_path / "memory", tmp_path / "other"
    other.mkdir()

    assert start.start_file([memory, other]) == other / "start.ini"
    memory.mkdir()
    assert start.start_file([memory, other]) == memory / "start.ini"
    assert start.START_FILE_FOLDERS[0] == Path("/run/mt5/start")


def test_no_process_of_the_container_leaves_a_core() -> None:
    source = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY / 'images/wine/bin')!r}); import start\n"
        "start.leave_no_core(); import os\n"
        "os.execv('/bin/cat', ['cat', '/proc/self/limits', '/proc/self/coredump_filter'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], check=True, capture_output=True, text=True
    )

    *limits, left_in = done.stdout.splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    may_be_set = resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
    assert core[4:6] == (["1", "1"] if may_be_set else ["0", "0"])
    assert int(left_in, 16) == 0


def test_a_simulated_terminal_runs_beside_its_worker_in_windows_python() -> None:
    env = start.environment({"MT5_AGENT_BACKEND": "simulator"}, terminal=False)

    assert "windows-python -m mt5_simulator.terminal" in env["MT5_AGENT_TERMINAL_COMMAND"]


def test_a_screen_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    path = str(tmp_path / "X0")

    assert not start.listens(path, within_s=0.1)
    with socket.socket(socket.AF_UNIX) as screen:
        screen.bind(path)
        screen.listen()
        assert start.listens(path, within_s=10)


def test_nobody_looks_at_the_screen_unless_a_password_is_given() -> None:
    without, with_one = start.screen({}), start.screen({"MT5_VIEWER_PASSWORD_FILE": "/run/p"})

    assert [Path(argv[0]).name for argv in without] == ["screen", "matchbox-window-manager"]
    assert with_one == [*without, ["/opt/mt5/bin/viewer", "/run/p"]]


@pytest.fixture
def looked_at(tmp_path: Path) -> Callable[..., tuple[int, dict[str, str]]]:
    """Return a function that runs the viewer on a stand-in for x11vnc; it returns the exit code and
    what the stand-in saw."""
    server = tmp_path / "x11vnc"
    server.write_text(_SEES)
    server.chmod(0o755)

    def look(*words: str, typed: str = "", server: Path = server) -> tuple[int, dict[str, str]]:
        env = {
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": str(tmp_path),
            "MT5_VIEWER_SERVER": str(server),
            "SEEN": str(tmp_path / "seen"),
        }
        script = REPOSITORY / "images" / "wine" / "bin" / "viewer"
        done = subprocess.run([script, *words], env=env, input=typed, text=True, timeout=60)
        seen = tmp_path / "seen"
        return done.returncode, json.loads(seen.read_text()) if seen.exists() else {}

    return look


_SEES = """#!/usr/bin/env python3
import json, os, pathlib, sys
file = pathlib.Path(sys.argv[-1].removeprefix("rm:"))
seen = {"words": " ".join(sys.argv[1:]), "file": file.read_text(), "mode": oct(file.stat().st_mode)}
place = pathlib.Path(os.environ["SEEN"])
place.with_suffix(".draft").write_text(json.dumps(seen))
place.with_suffix(".draft").rename(place)
"""


def test_the_viewer_only_looks_on_loopback_and_asks_for_the_password(
    looked_at: Callable[..., tuple[int, dict[str, str]]], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pa ss;'\"$word")

    code, seen = looked_at(str(secret))

    assert code == 0
    assert {"-viewonly", "-localhost", "-passwdfile"} <= set(seen["words"].split())
    assert "-nopw" not in seen["words"]
    assert (seen["file"], seen["mode"]) == ("pa ss;'\"$word\n", "0o100600")
    assert "pa ss" not in seen["words"]
    assert secret.exists()  # it belongs to whoever mounted it
    assert not list(tmp_path.glob("viewer.*"))


def test_a_viewer_without_a_password_or_without_its_program_does_not_start(
    looked_at: Callable[..., tuple[int, dict[str, str]]], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")

    assert looked_at(str(empty)) == (64, {})
    assert looked_at("-", typed="\n") == (64, {})
    assert looked_at(str(empty), server=tmp_path / "none") == (69, {})


def test_a_password_may_come_over_stdin_which_ends_the_look(
    looked_at: Callable[..., tuple[int, dict[str, str]]], tmp_path: Path
) -> None:
    server = tmp_path / "waits"
    server.write_text(_SEES + "import time\ntime.sleep(300)\n")
    server.chmod(0o755)
    reads, writes = os.pipe()
    env = {
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(tmp_path),
        "MT5_VIEWER_SERVER": str(server),
        "SEEN": str(tmp_path / "seen"),
    }
    with subprocess.Popen(
        [REPOSITORY / "images" / "wine" / "bin" / "viewer", "-"], stdin=reads, env=env
    ) as viewer:
        os.close(reads)
        os.write(writes, b"secret\n")
        end_s = time.monotonic() + 30
        while not (tmp_path / "seen").exists():
            assert time.monotonic() < end_s
            time.sleep(0.02)
        assert viewer.poll() is None

        os.close(writes)

        assert viewer.wait(30) == 143  # x11vnc was ended
    assert not list(tmp_path.glob("viewer.*"))


@pytest.mark.parametrize("sha256", ["", "0" * 64])
def test_a_terminal_is_not_baked_without_its_checksum(tmp_path: Path, sha256: str) -> None:
    write(tmp_path, "portable.zip")

    with pytest.raises(bake_terminal.CannotBake, match=r"portable\.zip"):
        bake_terminal.check(tmp_path / "portable.zip", sha256)


def test_a_mounted_terminal_is_not_started_unless_it_is_the_one_that_was_meant(
    image: Path,
) -> None:
    meant = hashlib.sha256((image / "terminal64.exe").read_bytes()).hexdigest()

    refused = start.refusal(image, "0" * 64)
    env = start.environment({"MT5_AGENT_TERMINAL_PATH": "Z:\\x"}, terminal=True, refused=refused)

    assert meant in refused
    assert start.refusal(image, meant.upper() + "\n") == start.refusal(image, "") == ""
    assert start.refusal(image.parent / "nothing", "0" * 64) == ""  # TerminalMissing says enough
    assert "MT5_AGENT_TERMINAL_COMMAND" not in env
    assert env["MT5_AGENT_TERMINAL_MISSING_HINT"] == refused
    assert env["MT5_AGENT_TERMINAL_PATH"] == "Z:\\opt\\mt5\\refused\\terminal64.exe"


def test_more_than_one_given_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.zip", "b.zip")

    with pytest.raises(bake_terminal.CannotBake):
        bake_terminal.given(tmp_path)


def test_nothing_given_means_no_terminal(tmp_path: Path) -> None:
    assert bake_terminal.given(tmp_path) is None


def test_an_archive_with_two_terminals_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a/terminal64.exe", "b/terminal64.exe")

    with pytest.raises(bake_terminal.CannotBake, match="2 folders"):
        bake_terminal.tree(tmp_path)


def test_what_belongs_to_the_building_machine_is_not_baked(tmp_path: Path) -> None:
    write(tmp_path, "terminal64.exe", "Config/accounts.dat", "Config/servers.dat", "logs/1.log")

    bake_terminal.clean(tmp_path)

    assert sorted(content(tmp_path)) == ["Config/servers.dat", "terminal64.exe"]
