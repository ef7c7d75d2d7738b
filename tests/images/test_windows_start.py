# SPDX-License-Identifier: Apache-2.0
"""What the first process on Windows makes ready, as far as plain folders show it; Windows' own
programs are stand-ins here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.paths import REPOSITORY

ENTRY_POINT = REPOSITORY / "images" / "windows" / "entrypoint.py"
AGENT = """
import json, os, pathlib
told = {name: value for name, value in os.environ.items() if name.startswith("MT5_AGENT_")}
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps({"pid": os.getpid(), "told": told}))
raise SystemExit(7)
"""
REPORT = '{"ok": true, "findings": []}'


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return an image's folder as Windows has it in C:\\mt5."""
    root = tmp_path / "mt5"
    for part in ("bin", "terminal", "lib/mt5_agent"):
        (root / part).mkdir(parents=True)
    for script in (ENTRY_POINT, REPOSITORY / "images" / "wine" / "bin" / "start.py"):
        (root / "bin" / script.name).write_bytes(script.read_bytes())
    (root / "terminal" / "terminal64.exe").write_text("image")
    (root / "lib" / "mt5_agent" / "__main__.py").write_text(AGENT)
    program(tmp_path / "programs", "icacls.exe", 'echo "$@" >>"$ACL"')
    program(tmp_path / "programs", "powershell.exe", f"echo '{REPORT}'")
    return root


def started(root: Path, **given: str) -> tuple[subprocess.Popen[str], str, dict[str, str], str]:
    """Run the entry point to its end: the process, its output, the agent's settings, the ACLs."""
    work = root.parent
    (work / "tmp").mkdir(exist_ok=True)
    env = {
        "PATH": f"{work / 'programs'}:/usr/bin:/bin",
        "PYTHONPATH": str(root / "lib"),
        "TMPDIR": str(work / "tmp"),
        "SEEN": str(work / "seen"),
        "ACL": str(work / "acl"),
        "MT5_AGENT_DATA_DIR": str(work / "data"),
        **given,
    }
    process = subprocess.Popen(
        [sys.executable, root / "bin" / "entrypoint.py"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate(timeout=60)
    seen = json.loads((work / "seen").read_text())
    assert seen["pid"] == process.pid, "Windows tells the first process of the container's end"
    return process, output, seen["told"], (work / "acl").read_text()


def test_the_first_process_becomes_the_agent_with_all_that_it_must_know(image: Path) -> None:
    work = image.parent

    process, output, told, _ = started(image)

    assert process.returncode == 7
    assert output == REPORT + "\n"
    assert Path(told["MT5_AGENT_SELFTEST_FILE"]).read_text() == REPORT
    assert told["MT5_AGENT_TERMINAL_PATH"] == str(work / "data" / "terminal64.exe")
    assert (work / "data" / "terminal64.exe").read_text() == "image"
    assert (told["MT5_AGENT_BACKEND"], told["MT5_AGENT_PLATFORM"]) == ("metatrader5", "Windows")


def test_the_start_file_lies_where_its_owner_alone_may_read(image: Path) -> None:
    _, _, told, acl = started(image)

    folder = Path(told["MT5_AGENT_TERMINAL_INI"]).parent
    assert folder.is_dir()
    assert acl == f"{folder} /inheritance:r /grant:r *S-1-3-4:(OI)(CI)F\n"
    assert " " not in told["MT5_AGENT_TERMINAL_INI"]  # a terminal reads no other


def test_what_is_given_wins(image: Path) -> None:
    _, _, told, _ = started(image, MT5_AGENT_BACKEND="simulator", MT5_AGENT_TERMINAL_INI="/x.ini")

    assert (told["MT5_AGENT_BACKEND"], told["MT5_AGENT_TERMINAL_INI"]) == ("simulator", "/x.ini")


@pytest.mark.parametrize("powershell", ["exit 3", "echo 'Add-Type : no compiler'", ""])
def test_a_self_test_that_cannot_run_is_a_finding_and_the_agent_starts(
    image: Path, powershell: str
) -> None:
    program(image.parent / "programs", "powershell.exe", powershell)

    _, output, told, _ = started(image)

    (finding,) = json.loads(output)["findings"]
    assert (finding["name"], finding["ok"]) == ("selftest", False)
    assert Path(told["MT5_AGENT_SELFTEST_FILE"]).read_text() == output.strip()


def test_a_self_test_in_another_language_ends_nothing(image: Path) -> None:
    # "ungültig" in the code page of a German console.
    said = r'{"ok": false, "findings": [{"name": "fonts", "ok": false, "detail": "ung\201ltig"}]}'
    program(image.parent / "programs", "powershell.exe", f"printf '{said}'")

    process, output, told, _ = started(image, PYTHONIOENCODING="cp1252")

    assert process.returncode == 7, "the agent's"
    assert json.loads(output)["findings"][0]["detail"].startswith("ung")
    assert Path(told["MT5_AGENT_SELFTEST_FILE"]).read_text() == output.strip()


def test_a_password_is_written_nowhere_that_others_may_read(image: Path) -> None:
    program(image.parent / "programs", "icacls.exe", "exit 5")

    with pytest.raises(FileNotFoundError):
        started(image)  # no agent ran

    assert not os.path.lexists(image.parent / "seen")
