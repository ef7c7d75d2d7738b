# SPDX-License-Identifier: Apache-2.0
"""The journal in SQLite: each method is one transaction, durable when it returns. Not thread-safe:
`Journal` calls it from one thread."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mt5_sidecar.orders.bodies import Operation
from mt5_sidecar.orders.errors import JournalForeign, KeyReused
from mt5_sidecar.orders.journal.opening import connect, translated
from mt5_sidecar.orders.journal.rows import COLUMNS, record_of, row_of
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.settings import OrderSettings

BATCH: Final = 500
_TRIED_BYTES: Final = 16 * 1024
_ALL: Final = ", ".join(COLUMNS)
_PLACES: Final = ", ".join("?" * len(COLUMNS))
_THEIRS: Final = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
_LATER: Final = ", ".join(f"{name} = ?" for name in COLUMNS[1:])


class Store:
    """An open journal file."""

    def __init__(self, settings: OrderSettings, *, account: str, now_ms: int) -> None:
        """Open or make the file of `account` (login@server).

        Raises:
            JournalError: Nobody may trade on it; the class says why.
        """
        self._path = settings.journal_file
        self._db = connect(settings)
        self._db.row_factory = sqlite3.Row
        try:
            self._claim(account, now_ms)
        except BaseException:
            self._db.close()
            raise

    def fact(self, name: str, default: str = "") -> str:
        """Return one fact about this journal."""
        with self._errors():
            row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set_facts(self, **facts: str) -> None:
        """Write facts, all or none."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())

    def get(self, key: str) -> Record | None:
        """Return the record of `key`."""
        return next(iter(self._records("key = ?", key)), None)

    def insert(self, record: Record) -> None:
        """Write a new key.

        Raises:
            KeyReused: It is there already.
        """
        try:
            with self._transaction():
                sql = f"INSERT INTO trade ({_ALL}) VALUES ({_PLACES})"  # noqa: S608  our columns
                self._db.execute(sql, row_of(record))
        except sqlite3.IntegrityError as error:
            raise KeyReused(f"{record.key} is in the journal already") from error

    def update(self, record: Record) -> None:
        """Write what is known of a key now; what is settled never changes again."""
        with self._transaction():
            sql = f"UPDATE trade SET {_LATER} WHERE key = ? AND settled = 0"  # noqa: S608  ours
            self._db.execute(sql, (*row_of(record)[1:], record.key))

    def unsettled(self) -> list[Record]:
        """Return what is not known for good, oldest first."""
        return self._records("settled = 0 ORDER BY created_ms")

    def since(self, created_ms: int) -> list[Record]:
        """Return all records from `created_ms` on, oldest first."""
        return self._records("created_ms >= ? ORDER BY created_ms", created_ms)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return all rows by column, oldest first, one at a time."""
        with self._errors():
            sql = f"SELECT {_ALL} FROM trade ORDER BY created_ms"  # noqa: S608  our columns
            for row in self._db.execute(sql):
                yield dict(zip(COLUMNS, row, strict=True))

    def marks(self) -> list[tuple[str, int]]:
        """Return token and magic of every trade."""
        with self._errors():
            return [(row[0], row[1]) for row in self._db.execute("SELECT token, magic FROM trade")]

    def order_tickets(self, since_ms: int, *operations: Operation) -> list[int]:
        """Return the orders that such trades are known to have made since then, oldest first."""
        places = ", ".join("?" * len(operations))
        where = f"created_ms >= ? AND order_ticket > 0 AND operation IN ({places})"
        sql = f"SELECT order_ticket FROM trade WHERE {where} ORDER BY created_ms"  # noqa: S608  ours
        with self._errors():
            return [row[0] for row in self._db.execute(sql, (since_ms, *operations))]

    def new_order_times(self, since_ms: int) -> list[int]:
        """Return when new orders were asked for since then (UTC ms)."""
        sql = "SELECT created_ms FROM trade WHERE created_ms >= ? AND operation = 'order'"
        with self._errors():
            return [row[0] for row in self._db.execute(sql, (since_ms,))]

    def adopt(self, records: Iterable[Record], **facts: str) -> None:
        """Take over another journal's records, all or none; what is settled only here stays.

        What is settled there was told there, after we had handed the key over: it is theirs to say.
        """
        with self._transaction():
            sql = (
                f"INSERT INTO trade ({_ALL}) VALUES ({_PLACES})"  # noqa: S608  our columns
                f" ON CONFLICT (key) DO UPDATE SET {_THEIRS}"
                " WHERE excluded.settled = 1 OR trade.settled = 0"
            )
            self._db.executemany(sql, map(row_of, records))
            self._db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())

    def forget(self, before_ms: int) -> int:
        """Remove at most BATCH records settled before `before_ms`; return how many.

        A trade may be open for days: who asks for it gets its end for as long as any other's.
        """
        sql = (
            "DELETE FROM trade WHERE key IN (SELECT key FROM trade WHERE created_ms < ?"
            " AND ended_ms < ? AND settled = 1 ORDER BY created_ms LIMIT ?)"
        )
        with self._transaction():
            return self._db.execute(sql, (before_ms, before_ms, BATCH)).rowcount

    def try_out(self) -> None:
        """Write more than a trade does, and forget it: the disk takes the next trade as well."""
        self.set_facts(tried="." * _TRIED_BYTES)
        self.set_facts(tried="")

    def checkpoint(self) -> None:
        """Fold the WAL into the file and give free pages back; for idle moments."""
        with self._errors():
            # `execute` would step it once, and one step frees one page.
            self._db.executescript("PRAGMA incremental_vacuum")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _claim(self, account: str, now_ms: int) -> None:
        owner = self.fact("account")
        if not owner:
            born = str(now_ms)
            self.set_facts(account=account, born_ms=born, known_since_ms=born)
        elif owner != account:
            raise JournalForeign(f"{self._path} is the journal of {owner}, not of {account}")

    def _records(self, where: str, *values: Any) -> list[Record]:
        with self._errors():
            rows = self._db.execute(f"SELECT {_ALL} FROM trade WHERE {where}", values)  # noqa: S608
            return [record_of(row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
