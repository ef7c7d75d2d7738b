# SPDX-License-Identifier: Apache-2.0
"""A terminal in the image, kept as the agent keeps it. It is a stand-in: Windows Python by another
name, which shows a window and writes a journal (`stub_terminal.py`)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract_wine.wine import START_S, Pod

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]
HERE = Path(__file__).parent


@pytest.fixture
def with_terminal(pod: Pod) -> Iterator[Pod]:
    """Return the pod with a terminal where an image has its own."""
    place = pod.path("opt/mt5/terminal")
    place.rmdir()
    shutil.copytree(
        pod.path("opt/mt5/python"), place, ignore=shutil.ignore_patterns("site-packages")
    )
    (place / "python.exe").rename(place / "terminal64.exe")
    (place / "python311._pth").write_text("python311.zip\r\n.\r\nimport site\r\n")
    shutil.copy(HERE / "stub_terminal.py", place / "sitecustomize.py")
    yield pod
    shutil.rmtree(place)
    place.mkdir()


@pytest.fixture
def slow_screen(pod: Pod) -> Iterator[None]:
    """Have the screen come up long after everything else, as on a node that starts many pods."""
    screen = pod.path("usr/bin/Xvfb")
    program = screen.with_name("Xvfb-itself")
    screen.rename(program)
    screen.write_text('#!/bin/sh\nsleep 5\nexec /usr/bin/Xvfb-itself "$@"\n')
    screen.chmod(0o755)
    yield
    program.replace(screen)


@pytest.mark.usefixtures("slow_screen")
def test_a_screen_that_is_slow_to_come_is_waited_for(with_terminal: Pod) -> None:
    """Wine looks for one at its first program; without it none has a window until the pod ends."""
    closed_politely(with_terminal)


def test_a_terminal_is_closed_politely_and_never_outlives_its_keeper(with_terminal: Pod) -> None:
    closed_politely(with_terminal)


def closed_politely(with_terminal: Pod) -> None:
    """Keep a terminal in the agent's place to its polite end, and one to its kill."""
    source = (HERE / "keep_terminal.py").read_text()

    process = with_terminal.start(["/usr/bin/python3", "-c", source])
    try:
        output, errors = process.communicate(timeout=START_S)
    finally:
        with_terminal.end(process)

    assert process.returncode == 0, errors
    assert json.loads(output) == {
        "code": 0,
        "journal": ["started /portable window True", "stopped"],
        "ran": True,
        "left": False,
    }


def test_a_crash_of_the_terminal_is_its_end(with_terminal: Pod) -> None:
    """Wine's debugger would hold it as if it ran, and print its memory into the log."""
    source = (HERE / "crash_terminal.py").read_text()

    process = with_terminal.start(["/usr/bin/python3", "-c", source], STUB_CRASHES="1")
    try:
        output, errors = process.communicate(timeout=START_S)
    finally:
        with_terminal.end(process)

    assert json.loads(output) == {"code": 0xC0000005 & 0xFF, "left": []}, errors
    assert "Stack dump" not in errors


def test_a_terminal_has_a_window_again_after_its_screen_ended(with_terminal: Pod) -> None:
    source = (HERE / "screen_ends.py").read_text()

    process = with_terminal.start(["/usr/bin/python3", "-c", source])
    try:
        output, errors = process.communicate(timeout=2 * START_S)
    finally:
        with_terminal.end(process)

    told = ["started /portable window True"]
    assert json.loads(output) == {"before": told, "after": told}, errors


def run_in_agents_place(pod: Pod, name: str) -> dict[str, object]:
    """Run a program of this folder beside a screen, as the agent runs; return what it printed."""
    source = (HERE / name).read_text()
    process = pod.start(["/opt/mt5/bin/windows-python", "-c", source])
    try:
        output, errors = process.communicate(timeout=START_S)
    finally:
        pod.end(process)
    assert process.returncode == 0, errors
    seen: dict[str, object] = json.loads(output)
    return seen


def test_windows_own_way_to_close_a_terminal_is_polite_too(with_terminal: Pod) -> None:
    seen = run_in_agents_place(with_terminal, "close_on_windows.py")

    assert seen.pop("windows")  # its own, and those that Windows gives each program
    assert seen == {"others": 0, "code": 0, "journal_ends": "stopped"}


def test_on_windows_no_process_outlives_the_supervisor(pod: Pod) -> None:
    seen = run_in_agents_place(pod, "orphan_on_windows.py")

    assert seen == {"ran": True, "with_job": "gone", "without": "left"}


def test_on_windows_the_containers_end_waits_for_the_agent_and_a_crash_for_nobody(
    pod: Pod,
) -> None:
    seen = run_in_agents_place(pod, "end_on_windows.py")

    assert seen == {"at_once": True, "heard": True, "waits": True, "ended": True, "mode": 0x8003}


def test_on_windows_the_memory_of_all_processes_is_known_by_their_job(pod: Pod) -> None:
    seen = run_in_agents_place(pod, "memory_on_windows.py")

    assert seen == {
        "before": None,
        "limit": 1 << 40,
        "alone": True,
        "child_counts": True,
        "gone": True,
    }
