# SPDX-License-Identifier: Apache-2.0
"""The commands that the README names, as a shell sees them."""

import re
import subprocess
from pathlib import Path

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
