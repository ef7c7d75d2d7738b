# SPDX-License-Identifier: Apache-2.0
"""The hash of a build covers what the build can see, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.build_context import digest, sources

DOCKERFILE = """\
# COPY not/this /
FROM debian:trixie-slim AS build
COPY --chown=1:1 pyproject.toml locks/*.txt \\
     /src/
COPY sidecar /src/sidecar
ADD ["with space", "/there/"]
RUN --mount=type=bind,source=images/a,target=/a --mount=type=cache,target=/root/.cache make
FROM build
COPY --from=build /venv /venv
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "locks/a.txt", "sidecar/app.py", "docs/page.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def hash_of(context: Path) -> str:
    return digest(context / "Dockerfile", context)


def test_sources_are_what_is_copied_added_or_mounted_from_the_context() -> None:
    assert sources(DOCKERFILE) == [
        "pyproject.toml",
        "locks/*.txt",
        "sidecar",
        "with space",
        "images/a",
    ]


@pytest.mark.parametrize("name", ["pyproject.toml", "locks/a.txt", "sidecar/app.py", "Dockerfile"])
def test_a_change_of_what_the_build_sees_changes_the_hash(context: Path, name: str) -> None:
    before = hash_of(context)

    (context / name).write_text("# changed\n")

    assert hash_of(context) != before


def test_a_new_file_in_a_copied_directory_changes_the_hash(context: Path) -> None:
    before = hash_of(context)

    (context / "sidecar" / "new.py").touch()

    assert hash_of(context) != before


@pytest.mark.parametrize("name", ["docs/page.md", "sidecar/__pycache__/app.pyc"])
def test_a_change_elsewhere_does_not(context: Path, name: str) -> None:
    before = hash_of(context)

    (context / name).parent.mkdir(exist_ok=True)
    (context / name).write_text("changed")

    assert hash_of(context) == before


def test_a_file_that_becomes_executable_changes_the_hash(context: Path) -> None:
    before = hash_of(context)

    (context / "sidecar" / "app.py").chmod(0o755)

    assert hash_of(context) != before


def test_a_context_copied_whole_is_hashed_whole(context: Path) -> None:
    (context / "Dockerfile").write_text("FROM a\nCOPY . /src\n")
    before = hash_of(context)

    (context / "docs" / "page.md").write_text("changed")

    assert hash_of(context) != before
