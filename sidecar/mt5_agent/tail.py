# SPDX-License-Identifier: Apache-2.0
"""Reads the terminal's journal as it grows: `<data>/logs/YYYYMMDD.log`, UTF-16LE (MT5.md 1.3)."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ENCODING: Final = "utf-16-le"
_LINE_FIELDS: Final = 5
"""Two letters, level, time, source, message, by tabs."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _File:
    offset: int = 0
    rest: bytes = b""


class JournalTail:
    """`read()` returns what was written since the last one, whole lines only.

    Every journal is followed, not the newest one: which that is, a clock that was set says wrong.
    """

    def __init__(self, folder: Path) -> None:
        """Begin at the end of what `folder` holds now."""
        self._folder = folder
        self._trouble = ""
        self._files = {path: _File(offset=size) for path, size in self._sizes().items()}

    def read(self) -> list[str]:
        """Return the new lines' messages, oldest first."""
        return [line for path, size in self._sizes().items() for line in self._drain(path, size)]

    def _sizes(self) -> dict[Path, int]:
        try:
            journals = [path for path in self._folder.iterdir() if path.match("[0-9]*.log")]
            return {path: path.stat().st_size for path in sorted(journals)}
        except FileNotFoundError:
            return {}  # not yet, or one went meanwhile
        except OSError as error:
            self._unreadable(str(error))
            return {}

    def _drain(self, path: Path, size: int) -> list[str]:
        file = self._files.setdefault(path, _File())
        if size < file.offset:
            file.offset, file.rest = 0, b""  # written anew
        if size == file.offset:
            return []
        data = file.rest + self._more(path, file)
        end = data.rfind("\n".encode(_ENCODING))
        while end % 2:  # a match across two characters
            end = data.rfind("\n".encode(_ENCODING), 0, end)
            if end < 0:
                break
        whole, file.rest = (data[: end + 2], data[end + 2 :]) if end >= 0 else (b"", data)
        text = whole.decode(_ENCODING, errors="replace").lstrip("\ufeff")
        return [_message(line) for line in text.splitlines() if line.strip()]

    def _more(self, path: Path, file: _File) -> bytes:
        try:
            with path.open("rb") as journal:
                journal.seek(file.offset)
                data = journal.read()
        except OSError as error:
            self._unreadable(str(error))
            return b""  # later, from here
        file.offset += len(data)
        self._trouble = ""
        return data

    def _unreadable(self, trouble: str) -> None:
        # It is looked at ten times a second, and told once.
        if trouble != self._trouble:
            self._trouble = trouble
            _log.warning("the terminal's journal cannot be read: %s", trouble)


def _message(line: str) -> str:
    parts = line.split("\t", _LINE_FIELDS - 1)
    return parts[-1].strip()
