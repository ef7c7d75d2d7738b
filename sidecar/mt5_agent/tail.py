# SPDX-License-Identifier: Apache-2.0
"""Reads the terminal's journal as it grows: `<data>/logs/YYYYMMDD.log`, UTF-16LE (MT5.md 1.3)."""

import logging
from pathlib import Path
from typing import Final

_ENCODING: Final = "utf-16-le"
_LINE_FIELDS: Final = 5
"""Two letters, level, time, source, message, by tabs."""
_log = logging.getLogger(__name__)


class JournalTail:
    """`read()` returns what was written since the last one, whole lines only, across midnight
    too."""

    def __init__(self, folder: Path) -> None:
        """Begin at the end of what `folder` holds now."""
        self._folder = folder
        self._path = self._newest()
        self._offset = self._path.stat().st_size if self._path else 0
        self._rest = b""
        self._trouble = ""

    def read(self) -> list[str]:
        """Return the new lines' messages, oldest first."""
        messages = self._drain()
        newest = self._newest()
        if newest != self._path:
            self._path, self._offset, self._rest = newest, 0, b""
            messages += self._drain()
        return messages

    def _newest(self) -> Path | None:
        return max(self._folder.glob("[0-9]*.log"), default=None)

    def _drain(self) -> list[str]:
        data = self._rest + self._more()
        end = data.rfind("\n".encode(_ENCODING))
        while end % 2:  # a match across two characters
            end = data.rfind("\n".encode(_ENCODING), 0, end)
            if end < 0:
                break
        whole, self._rest = (data[: end + 2], data[end + 2 :]) if end >= 0 else (b"", data)
        text = whole.decode(_ENCODING, errors="replace").lstrip("\ufeff")
        return [_message(line) for line in text.splitlines() if line.strip()]

    def _more(self) -> bytes:
        if self._path is None:
            return b""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            self._unreadable(str(error))
            return b""  # later, from here
        self._offset += len(data)
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
