# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from mt5_sidecar.orders import Ask, Journal, NewOrder, OrderSettings, Store, handover
from mt5_sidecar.orders.errors import (
    HandoverUnreadable,
    JournalBusy,
    JournalFailed,
    JournalForeign,
    JournalTooNew,
    JournalUnreadable,
    KeyReused,
)
from mt5_sidecar.orders.outcomes import Verdict
from mt5_sidecar.orders.records import Record, draft

ASK = Ask(
    "order",
    NewOrder(symbol="EURUSD", side="buy", type="market", volume=Decimal("0.10"), comment="é"),
)
DONE = Verdict(outcome="Done", order=5, volume=Decimal("0.10"), price=Decimal("1.10000"))


def opened(folder: Path, account: str = "1@S") -> Store:
    settings = OrderSettings(journal_file=folder / "orders.sqlite")
    return Store(settings, account=account, now_ms=1)


def record(key: str = "k", *, created_ms: int = 1) -> Record:
    return msgspec.structs.replace(
        draft("1", key, ASK), created_ms=created_ms, request={"volume": 0.1, "type": 0}
    )


def settled(key: str = "k", *, created_ms: int = 1, ended_ms: int = 0) -> Record:
    return msgspec.structs.replace(
        record(key, created_ms=created_ms), state="outcome", verdict=DONE, ended_ms=ended_ms
    )


def test_a_record_comes_back_as_it_was_after_the_file_was_closed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.insert(record())
    store.update(settled())
    store.close()

    again = opened(tmp_path)

    assert again.get("k") == settled()
    assert again.get("other") is None
    again.close()


def test_a_key_is_written_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.insert(record())

    with pytest.raises(KeyReused):
        store.insert(settled())

    assert store.get("k") == record()
    store.close()


def test_commits_are_synced_to_the_disk_unless_it_is_a_simulation(tmp_path: Path) -> None:
    store = opened(tmp_path)

    modes = [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in MODES]

    assert modes == ["wal", 2, "exclusive"]
    store.close()


MODES = ("journal_mode", "synchronous", "locking_mode")


def test_two_processes_cannot_have_one_journal(tmp_path: Path) -> None:
    store = opened(tmp_path)

    with pytest.raises(JournalBusy):
        opened(tmp_path)

    store.close()
    opened(tmp_path).close()


def test_another_accounts_journal_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()

    with pytest.raises(JournalForeign):
        opened(tmp_path, "2@S")


def test_a_later_versions_journal_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "orders.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(JournalTooNew):
        opened(tmp_path)


@pytest.mark.parametrize("content", [b"not a database, and long enough to be one" * 100, b"x"])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "orders.sqlite").write_bytes(content)

    with pytest.raises(JournalUnreadable):
        opened(tmp_path)

    assert (tmp_path / "orders.sqlite").read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "orders.sqlite") as db:
        db.execute("CREATE TABLE trade (x)")
    db.close()

    with pytest.raises(JournalUnreadable):
        opened(tmp_path)


def test_a_cut_journal_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(200):
        store.insert(record(f"k{number}"))
    store.checkpoint()
    store.close()
    file = tmp_path / "orders.sqlite"
    os.truncate(file, file.stat().st_size // 2)

    with pytest.raises(JournalUnreadable):
        opened(tmp_path)


def test_a_journal_with_garbage_in_its_middle_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(200):
        store.insert(record(f"k{number}"))
    store.checkpoint()
    store.close()
    file = tmp_path / "orders.sqlite"
    content = bytearray(file.read_bytes())
    content[4096:-4096] = os.urandom(len(content) - 8192)
    file.write_bytes(content)

    with pytest.raises(JournalUnreadable):
        opened(tmp_path)


def test_a_row_that_this_program_did_not_write_is_an_error_not_a_guess(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.insert(record())
    store._db.execute('UPDATE trade SET verdict = \'{"outcome": "Fine"}\'')

    with pytest.raises(JournalUnreadable):
        store.get("k")
    store.close()


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = opened(tmp_path)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(JournalFailed):
        store.adopt([record(f"k{number}") for number in range(500)])

    assert store.since(0) == []
    store.close()


def test_only_what_is_settled_and_old_is_forgotten(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for stored in (settled("old"), settled("new", created_ms=100), record("open")):
        store.insert(stored)
    store.insert(settled("open for long", ended_ms=100))

    assert store.forget(50) == 1
    store.checkpoint()

    assert [r.key for r in store.since(0)] == ["open", "open for long", "new"]
    assert [r.key for r in store.unsettled()] == ["open"]
    store.close()


async def test_compaction_goes_on_until_nothing_is_old_and_gives_the_space_back(
    tmp_path: Path,
) -> None:
    journal = Journal(lambda: opened(tmp_path))
    await journal.open()
    await journal.read(lambda store: store.adopt([settled(f"k{n}") for n in range(1200)]))
    await journal.compact(0)
    full_bytes = (tmp_path / "orders.sqlite").stat().st_size

    assert await journal.compact(50) == 1200

    assert (tmp_path / "orders.sqlite").stat().st_size < full_bytes / 4
    await journal.close()


def test_what_is_settled_here_is_not_overwritten_by_another_slots_journal(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.insert(settled("known"))
    store.insert(record("open"))

    store.insert(settled("both"))
    theirs = msgspec.structs.replace(settled("both"), ended_ms=9)

    store.adopt([record("known"), settled("open"), record("more"), theirs])

    known, closed = store.get("known"), store.get("open")
    assert known is not None
    assert closed is not None
    assert (known.settled, closed.settled) == (True, True)
    assert store.get("more") is not None
    assert store.get("both") == theirs, "told there, after it was handed over"
    store.close()


def handed_over(store: Store, keys: int) -> bytearray:
    """Return a handover of so many keys."""
    store.adopt(settled(f"k{number}") for number in range(keys))
    about = handover.Handover(account="1@S", epoch=1, known_since_ms=0, earlier_settled=True)
    return handover.packed(about, store.rows())


def test_a_handover_comes_back_as_it_was(tmp_path: Path) -> None:
    for keys in (0, 1, 3):
        store = opened(tmp_path / str(keys))
        taken, records = handover.unpacked(handed_over(store, keys), account="1@S")

        assert (taken.epoch, taken.known_since_ms, taken.earlier_settled) == (1, 0, True)
        assert list(records) == store.since(0)
        store.close()


def test_a_handover_takes_little_more_memory_than_its_text(tmp_path: Path) -> None:
    """A month of keys is more than a sidecar has memory for, as objects."""
    ours, theirs = opened(tmp_path / "a"), opened(tmp_path / "b")
    tracemalloc.start()
    try:
        raw = handed_over(ours, 2000)
        _, packing_bytes = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        _, records = handover.unpacked(raw, account="1@S")
        theirs.adopt(records)
        _, taking_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert max(packing_bytes, taking_bytes) < 3 * len(raw)
    assert len(theirs.since(0)) == 2000
    ours.close()
    theirs.close()


def test_a_handover_with_a_row_that_cannot_be_read_is_taken_over_not_at_all(
    tmp_path: Path,
) -> None:
    ours, theirs = opened(tmp_path / "a"), opened(tmp_path / "b")
    raw = handed_over(ours, 3)
    for broken in (
        raw.replace(b'"k2","operation":"order"', b'"k2","operation":"other"'),
        raw.replace(b"]}", b",7]}"),
    ):
        with pytest.raises(HandoverUnreadable):
            theirs.adopt(handover.unpacked(broken, account="1@S")[1], epoch="9")

    assert theirs.since(0) == []
    assert theirs.fact("epoch") == ""
    ours.close()
    theirs.close()


def test_what_is_settled_never_changes(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.insert(settled())

    store.update(msgspec.structs.replace(settled(), verdict=Verdict(outcome="NotSent")))

    assert store.get("k") == settled()
    store.close()


async def test_each_write_is_measured(tmp_path: Path) -> None:
    seconds: list[float] = []
    journal = Journal(lambda: opened(tmp_path), on_write=seconds.append)
    await journal.open()

    await journal.insert(record())
    await journal.update(settled())

    assert len(seconds) == 2
    assert all(0 < spent < 10 for spent in seconds)
    await journal.close()


WRITER = """
import sys
from pathlib import Path
import msgspec
from mt5_sidecar.orders import OrderSettings, Store
from mt5_sidecar.orders.records import draft
from mt5_sidecar.orders import Ask, CancelOrder
store = Store(OrderSettings(journal_file=Path(sys.argv[1])), account="1@S", now_ms=1)
number = 0
while True:
    number += 1
    record = draft("1", f"k{number}", Ask("cancel_order", CancelOrder(), number))
    store.insert(record)
    store.update(msgspec.structs.replace(record, state="sent", sent_ms=number))
    print(number, flush=True)
"""


def test_what_was_acknowledged_is_there_after_sigkill(tmp_path: Path) -> None:
    file = tmp_path / "orders.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "sidecar"},
        cwd=Path(__file__).parents[3],
    )
    assert writer.stdout is not None
    acknowledged = 0
    while acknowledged < 100:
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    acknowledged = max(
        [acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))]
    )
    writer.wait()
    writer.stdout.close()

    store = opened(tmp_path)

    stored = store.since(0)
    assert acknowledged <= len(stored) <= acknowledged + 1
    assert all(r.state == "sent" for r in stored[:acknowledged])
    store.close()


@pytest.mark.parametrize("copy", [0, 1])
def test_a_key_that_is_damaged_in_its_row_or_its_index_is_never_taken_for_new(
    tmp_path: Path, copy: int
) -> None:
    store = opened(tmp_path)
    for key in ("key-a", "key-to-be-damaged", "key-z"):
        store.insert(settled(key))
    store.checkpoint()
    store.close()
    file = tmp_path / "orders.sqlite"
    whole = file.read_bytes()
    at = [found.start() for found in re.finditer(b"key-to-be-damaged", whole)][copy]
    file.write_bytes(whole[:at] + b"q" + whole[at + 1 :])

    with pytest.raises(JournalUnreadable):
        opened(tmp_path)
