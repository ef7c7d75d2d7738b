# SPDX-License-Identifier: Apache-2.0
"""The commands that the README names, as a shell sees them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_readme_is_a_target_with_a_help_line() -> None:
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    named = {
        word
        for file in documents
        for word in re.findall(r"\bmake (?:-s )?([a-z][a-z-]+)\b", file.read_text())
    }

    assert named >= {"demo", "demo-env", "demo-down", "test"}
    assert [name for name in sorted(named) if not re.search(rf"^  {name} ", shown, re.M)] == []


def test_what_is_evaluated_by_a_shell_holds_nothing_but_its_lines() -> None:
    # `make -s demo-env` is for eval: a target that it depends on must print nothing.
    plan = subprocess.run(
        ["make", "-sn", "demo-env"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert not re.search(r"^echo (?!.*>&2)", plan, re.M), plan


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["soak"], "--minutes 30 "),
        (["soak", "MINUTES=5"], "--minutes 5 "),
        (["simulate"], "--first 1 --seeds 500 --minutes 120"),
        (["simulate", "SEEDS=5000"], "--first 1 --seeds 5000 --minutes 120"),
        (["chaos"], "MT5_CHAOS_SEEDS=10 MT5_CHAOS_FIRST=0 "),
        (["chaos", "SEEDS=20", "FIRST=7"], "MT5_CHAOS_SEEDS=20 MT5_CHAOS_FIRST=7 "),
    ],
)
def test_each_command_has_numbers_of_its_own_and_takes_others(words: list[str], told: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in {"MINUTES", "SEEDS", "FIRST"}}
    plan = subprocess.run(
        ["make", "-n", *words], cwd=ROOT, check=True, capture_output=True, text=True,
        env=environment,
    ).stdout  # fmt: skip

    assert told in plan
