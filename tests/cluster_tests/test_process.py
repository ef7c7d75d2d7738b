# SPDX-License-Identifier: Apache-2.0
"""A program is known by its process id and its start, and ends when it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.errors import NotReady
from cluster.process import Identity, Program, identity, living
from cluster.waiting import wait_for


def sleeper(directory: Path) -> Program:
    return Program("sleeper", ["sleep", "300"], directory, outlives_us=False)


def test_a_process_is_read_from_its_line_even_with_a_name_made_to_deceive() -> None:
    after_name = "S 1 " + " ".join(str(number) for number in range(5, 53))

    assert identity(f"42 (a) b (c) {after_name}\n") == Identity(pid=42, started=22)


@pytest.mark.parametrize("line", ["", "42 (sh) S 1 2", f"42 (sh) Z {'1 ' * 50}\n"])
def test_a_line_that_is_not_whole_or_of_a_dead_process_is_nobody(line: str) -> None:
    assert identity(line) is None


def test_a_program_is_found_again_by_another_object(tmp_path: Path) -> None:
    sleeper(tmp_path).start()

    assert sleeper(tmp_path).running is not None

    sleeper(tmp_path).stop()
    assert sleeper(tmp_path).running is None


def test_starting_twice_starts_once(tmp_path: Path) -> None:
    program = sleeper(tmp_path)
    program.start()
    first = program.running

    program.start()

    assert program.running == first
    program.kill()


def test_a_process_that_took_over_the_id_is_not_touched(tmp_path: Path) -> None:
    ours = living(os.getpid())
    assert ours is not None
    fields = Path("/proc/self/stat").read_text().split()
    fields[21] = str(ours.started - 1)
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids" / "sleeper").write_text(" ".join(fields) + "\n")

    assert sleeper(tmp_path).running is None
    sleeper(tmp_path).kill()  # would end this test


def test_a_program_that_ignores_us_is_ended_by_force(tmp_path: Path) -> None:
    stubborn = ["sh", "-c", 'trap "" TERM; echo deaf; while :; do sleep 0.1; done']
    program = Program("stubborn", stubborn, tmp_path, outlives_us=False)
    program.start()
    wait_for(lambda: "deaf" in program.last_words(), what="the trap", timeout_s=5)

    program.stop(grace_s=0.2)

    assert program.running is None


def test_programs_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from cluster.process import Program\n"
        "Program('sleeper', ['sleep', '300'], Path(sys.argv[1]), outlives_us=False).start()\n"
        "print('started', flush=True); time.sleep(300)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        assert sleeper(tmp_path).running is not None

        owner.send_signal(signal.SIGKILL)
        owner.wait()

        wait_for(lambda: sleeper(tmp_path).running is None, what="its end", timeout_s=5)


def test_waiting_in_vain_says_for_what_and_what_was_seen_last() -> None:
    began = time.monotonic()

    with pytest.raises(NotReady, match=r"waited 0\.\d+ s in vain for a miracle\. none so far"):
        wait_for(
            lambda: None,
            what="a miracle",
            timeout_s=0.05,
            interval_s=0.01,
            hint=lambda: "none so far",
        )

    assert time.monotonic() - began < 5
