# SPDX-License-Identifier: Apache-2.0
"""Open the journal's file, or say why nobody may trade on it."""

import sqlite3
from pathlib import Path
from typing import Final

from mt5_sidecar.orders.errors import (
    JournalBusy,
    JournalError,
    JournalFailed,
    JournalTooNew,
    JournalUnreadable,
)
from mt5_sidecar.orders.journal import schema
from mt5_sidecar.orders.settings import OrderSettings

# The WAL is folded into the file by `Store.checkpoint`, when nobody waits for a commit.
PAGES_BEFORE_FORCED_CHECKPOINT: Final = 8000
# Source: sqlite.org/fileformat.html: the smallest page.
SMALLEST_BYTES: Final = 512
_BUSY_CODES: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def connect(settings: OrderSettings) -> sqlite3.Connection:
    """Return the file's only connection, checked and at this version's schema.

    Raises:
        JournalBusy: Another process has it.
        JournalUnreadable: It is not a journal, or is damaged.
        JournalTooNew: A later version wrote it.
        JournalFailed: The directory cannot be written.
    """
    path = settings.journal_file
    try:
        connection = _opened(path)
    except (OSError, sqlite3.Error) as error:
        raise translated(error, path) from error
    try:
        _prepare(connection, settings)
        _check(connection, path)
        _upgrade(connection)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise translated(error, path) from error
    except JournalError:
        connection.close()
        raise
    return connection


def translated(error: Exception, path: Path) -> JournalError:
    """Return what an error of SQLite or the system means for trading."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY_CODES:
        return JournalBusy(f"{path}: another process has it open")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalUnreadable(f"{path}: {error}")
    return JournalFailed(f"{path}: {error}")


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and 0 < path.stat().st_size < SMALLEST_BYTES:
        # SQLite would take it for a new file, and a journal that is cut is not a new one.
        raise JournalUnreadable(f"{path}: cut off")
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)


def _prepare(connection: sqlite3.Connection, settings: OrderSettings) -> None:
    # Exclusive before WAL: no shared memory file, and a second process cannot open it at all.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_BEFORE_FORCED_CHECKPOINT}")
    connection.execute("BEGIN EXCLUSIVE").execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    # Not the quick one: that believes an index, and a key that its index has lost is sent again.
    findings = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    if findings != ["ok"]:
        raise JournalUnreadable(f"{path}: {findings[0]}")
    written_by = _number(connection, "application_id")
    version = _number(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if (tables or version) and written_by != schema.APPLICATION_ID:
        raise JournalUnreadable(f"{path}: not an order journal")
    if version > schema.VERSION:
        raise JournalTooNew(f"{path}: version {version}, this is version {schema.VERSION}")


def _upgrade(connection: sqlite3.Connection) -> None:
    version = _number(connection, "user_version")
    if version == schema.VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    for step in range(version + 1, schema.VERSION + 1):
        for statement in schema.STEPS[step]:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
