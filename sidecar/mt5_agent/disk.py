# SPDX-License-Identifier: Apache-2.0
"""Which files of the terminal's volume may go: old journals, and every crash dump.

Histories (`bases`) are the terminal's own to keep; taking them away would only fetch them again.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOG_FOLDERS: Final = (("logs",), ("mql5", "logs"), ("tester", "logs"))
_DUMPS: Final = (".dmp", ".mdmp")
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
        _log.info("removed %d old journals, %d bytes", len(gone), freed)
    return freed


def dump_folders(data_dir: Path, environment: Mapping[str, str]) -> list[Path]:
    """Return where crash dumps of a terminal may come to lie: its own folder, its user's, and
    Windows' own for containers."""
    others = (
        ("WINEPREFIX", "drive_c/users"),
        ("LOCALAPPDATA", "."),
        ("SYSTEMDRIVE", "/LocalDumps"),
    )
    return [data_dir, *(Path(environment[n], sub) for n, sub in others if environment.get(n))]


def remove_dumps(folders: Iterable[Path]) -> None:
    """Remove crash dumps anywhere below: they hold the memory of a terminal, and so its password.

    Those in use are left to the next time.
    """
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                if name.lower().endswith(_DUMPS):
                    _remove_dump(Path(place, name))


def _remove_dump(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        _log.warning("the crash dump %s stays: %s", path.name, error)
    else:
        _log.warning("removed the crash dump %s", path.name)


def _files(data_dir: Path) -> Iterator[File]:
    for folder in _folders(data_dir):
        yield from _in(folder, ".log")


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
