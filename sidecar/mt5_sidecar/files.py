# SPDX-License-Identifier: Apache-2.0
"""Notice that a mounted file changed, and read it once when it did.

Kubernetes swaps a mounted Secret or ConfigMap by renaming the symlink `..data`, so neither the
path nor its directory changes; what the path resolves to does. A stat a second costs 2 us,
works on Windows and on every file system, and needs no inotify watch that a swap would orphan.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ABSENT: Final = ""
UNREAD: Final = "unread"


class WatchedFile(Generic[T]):
    """A file, its parsed content, and whether either is there.

    `parse` gets the bytes, or None where there is no file. What it raises is the caller's.
    """

    def __init__(self, path: Path, parse: Callable[[bytes | None], T]) -> None:
        self._path = path
        self._parse = parse
        self.version = ABSENT
        self.value: T = parse(None)

    def refresh(self) -> bool:
        """Read the file again if it is another one than last time; say whether it was.

        A file that cannot be parsed is remembered by its version all the same: it is read
        once, and again when somebody changes it. `value` then keeps the last good content,
        unless the caller says `forget`.

        Raises:
            OSError: it is there and cannot be read (no descriptor is free, a disk fails); the
                next look tries again.
        """
        version = file_version(self._path)
        if version == self.version:
            return False
        self.version = UNREAD
        content = _content(self._path)
        self.version = version
        self.value = self._parse(content)
        return True

    def forget(self) -> None:
        """Hold what is held where there is no file."""
        self.value = self._parse(None)


def file_version(path: Path) -> str:
    """Return a token that changes when the file does, and tells nothing of its content."""
    try:
        seen = path.stat()
    except OSError:
        return ABSENT
    # Not the size: it would tell the length of a password.
    token = f"{seen.st_dev}:{seen.st_ino}:{seen.st_mtime_ns}"
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def write_private(path: Path, content: str) -> None:
    """Replace `path` at once, readable by this user and group only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(content)
    part.replace(path)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
