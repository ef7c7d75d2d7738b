# SPDX-License-Identifier: Apache-2.0
"""What each start of the Wine container makes ready, on plain folders."""

import importlib.util
import os
import sys
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


def test_a_simulated_terminal_runs_beside_its_worker_in_windows_python() -> None:
    env = start.environment({"MT5_AGENT_BACKEND": "simulator"}, terminal=False)

    assert "windows-python -m mt5_simulator.terminal" in env["MT5_AGENT_TERMINAL_COMMAND"]


@pytest.mark.parametrize("sha256", ["", "0" * 64])
def test_a_terminal_is_not_baked_without_its_checksum(tmp_path: Path, sha256: str) -> None:
    write(tmp_path, "portable.zip")

    with pytest.raises(bake_terminal.CannotBake, match=r"portable\.zip"):
        bake_terminal.check(tmp_path / "portable.zip", sha256)


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
