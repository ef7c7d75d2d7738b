# SPDX-License-Identifier: Apache-2.0
"""What a Dockerfile's build can see, as a hash: the same hash means the same image."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_MOUNT_SOURCE = re.compile(r"--mount=\S*\bsource=([^,\s]+)")
_IGNORED = {"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def sources(dockerfile: str) -> list[str]:
    """Return the paths in the context that a Dockerfile copies, adds or mounts."""
    found: list[str] = []
    for instruction, rest in _instructions(dockerfile):
        if instruction in ("COPY", "ADD"):
            found += _copied(rest)
        elif instruction == "RUN":
            mounts = [word for word in rest.split() if word.startswith("--mount=")]
            inside = [word for word in mounts if "from=" not in word]
            found += [match[1] for word in inside if (match := _MOUNT_SOURCE.match(word))]
    return found


def digest(dockerfile: Path, context: Path, *, salt: str = "") -> str:
    """Return the hash of a Dockerfile, of every file that it takes from `context`, and of `salt`.

    A file that `.dockerignore` hides counts, too: then an image is built once too often.
    """
    text = dockerfile.read_text()
    total = hashlib.sha256(f"{salt}\0{text}".encode())
    ignored = context / ".dockerignore"
    for file in [*_files(sources(text), context), *([ignored] if ignored.exists() else [])]:
        mode = "x" if file.stat().st_mode & 0o100 else "-"
        total.update(f"{file.relative_to(context)}\0{mode}\0".encode() + file.read_bytes())
    return total.hexdigest()


def _instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    without_comments = re.sub(r"(?m)^\s*#.*\n?", "", dockerfile)
    for line in re.sub(r"\\[ \t]*\n", " ", without_comments).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if rest:
            yield instruction.upper(), rest.strip()


def _copied(rest: str) -> list[str]:
    if re.search(r"--from=", rest):
        return []
    without_flags = re.sub(r"--\S+\s+", "", rest)
    words = json.loads(without_flags) if without_flags[0] == "[" else shlex.split(without_flags)
    return [word for word in words[:-1] if "://" not in word and not word.startswith("<<")]


def _files(patterns: list[str], context: Path) -> list[Path]:
    found: set[Path] = set()
    for pattern in patterns:
        relative = pattern.strip("/").removeprefix("./") or "."
        for place in [context] if relative == "." else context.glob(relative):
            inside = place.rglob("*") if place.is_dir() else [place]
            found.update(file for file in inside if file.is_file() and not _hidden(file, context))
    return sorted(found)


def _hidden(file: Path, context: Path) -> bool:
    return bool(_IGNORED.intersection(file.relative_to(context).parts))
