# SPDX-License-Identifier: Apache-2.0
"""Enough of a Dockerfile's grammar to make claims about our own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, and the rest with continuations joined."""

    word: str
    rest: str


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile."""
    joined = re.sub(r"\\[ \t]*\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text))
    lines = [line.strip() for line in joined.splitlines() if line.strip()]
    return [Instruction(word.upper(), rest.strip()) for word, _, rest in map(_split, lines)]


def last_stage(instructions: list[Instruction]) -> list[Instruction]:
    """Return what the image that is run is made of, through the stages it is based on."""
    stages: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            words = [word for word in instruction.rest.split() if not word.startswith("--")]
            current = [*stages.get(words[0], []), instruction]
            if len(words) == 3:
                stages[words[2]] = current
        else:
            current.append(instruction)
    return current


def exec_form(instruction: Instruction) -> list[str]:
    """Return the words of a command in JSON form."""
    words: list[str] = json.loads(instruction.rest)
    return words


def of(folder: Path) -> list[Instruction]:
    """Return the instructions of the Dockerfile in `folder`."""
    return parse((folder / "Dockerfile").read_text())


def _split(line: str) -> tuple[str, str, str]:
    return line.partition(" ")
