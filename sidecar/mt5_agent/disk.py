# SPDX-License-Identifier: Apache-2.0
"""Which files of the terminal's volume may go: old journals and crash dumps, nothing else.

Histories (`bases`) are the terminal's own to keep; taking them away would only fetch them again.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOG_FOLDERS: Final = (("logs",), ("mql5", "logs"), ("tester", "logs"))
_DAY_S: Final = 86_400.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class File:
    """A file that may be removed."""

    path: Path
    size_bytes: int
    changed_s: float


def surplus(
    files: Iterable[File], *, now_s: float, keep_days: float, most_bytes: int
) -> list[File]:
    """Return what is too old, and the oldest of what is too much; never the newest of a folder.

    The newest journal is the one that the terminal writes and that the agent reads.
    """
    newest_first = sorted(files, key=lambda file: (file.changed_s, file.path), reverse=True)
    used, kept_bytes, gone = set[Path](), 0, []
    for file in newest_first:
        is_newest = file.path.parent not in used
        used.add(file.path.parent)
        old = now_s - file.changed_s > keep_days * _DAY_S
        if not is_newest and (old or kept_bytes + file.size_bytes > most_bytes):
            gone.append(file)
        else:
            kept_bytes += file.size_bytes
    return gone


def tidy(data_dir: Path, *, now_s: float, keep_days: float, most_bytes: int) -> int:
    """Remove the surplus below `data_dir`; return how many bytes that freed."""
    gone = surplus(_files(data_dir), now_s=now_s, keep_days=keep_days, most_bytes=most_bytes)
    freed = 0
    for file in gone:
        try:
            file.path.unlink()
        except OSError as error:  # in use, on Windows
            _log.info("%s stays: %s", file.path.name, error)
        else:
            freed += file.size_bytes
    if gone:
        _log.info("removed %d old journals and dumps, %d bytes", len(gone), freed)
    return freed


def _files(data_dir: Path) -> Iterator[File]:
    for folder in _folders(data_dir):
        yield from _in(folder, ".log")
    yield from _in(data_dir, ".dmp")


def _folders(data_dir: Path) -> Iterator[Path]:
    """Yield the folders of journals, whose names the terminal writes in more than one case."""
    for names in _LOG_FOLDERS:
        found = [data_dir]
        for name in names:
            found = [sub for folder in found for sub in _subfolders(folder, name)]
        yield from found


def _subfolders(folder: Path, name: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.lower() == name and path.is_dir()]


def _in(folder: Path, suffix: str) -> Iterator[File]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix.lower() == suffix and path.is_file() and not path.is_symlink():
            seen = path.stat()
            yield File(path, seen.st_size, seen.st_mtime)
