# SPDX-License-Identifier: Apache-2.0
"""The journal is read whole lines at a time, whatever the writes look like."""

import codecs
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mt5_agent.tail import JournalTail

LINES = [
    "RS\t0\t10:00:00.000\tNetwork\t'1': authorized",
    "RS\t0\t10:00:01.000\tTerminal\tjournal ਊ",
]


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def encoded(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("utf-16-le")


def test_lines_written_before_the_start_are_not_told(tmp_path):
    write(tmp_path / "20261121.log", codecs.BOM_UTF16_LE + encoded(LINES[0]))
    tail = JournalTail(tmp_path)

    write(tmp_path / "20261121.log", encoded(LINES[1]))

    assert tail.read() == ["journal ਊ"]
    assert tail.read() == []


@given(cuts=st.lists(st.integers(min_value=0, max_value=170), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_line_cut_anywhere_is_told_once_and_whole(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("logs")
    tail, data, told = JournalTail(folder), codecs.BOM_UTF16_LE + encoded(*LINES), []

    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        write(folder / "20261121.log", data[begin:end])
        told += tail.read()

    assert told == ["'1': authorized", "journal ਊ"]


def test_the_journal_is_followed_across_midnight(tmp_path):
    tail = JournalTail(tmp_path)
    write(tmp_path / "20261121.log", codecs.BOM_UTF16_LE + encoded(LINES[0]))
    assert len(tail.read()) == 1

    write(tmp_path / "20261121.log", encoded(LINES[1]))
    write(tmp_path / "20261122.log", codecs.BOM_UTF16_LE + encoded(LINES[0]))

    assert tail.read() == ["journal ਊ", "'1': authorized"]


def test_a_journal_of_a_day_to_come_hides_none_of_today(tmp_path):
    write(tmp_path / "20290101.log", codecs.BOM_UTF16_LE + encoded(LINES[0]))  # a clock was wrong
    tail = JournalTail(tmp_path)

    write(tmp_path / "20261122.log", codecs.BOM_UTF16_LE + encoded(LINES[1]))

    assert tail.read() == ["journal ਊ"]
    write(tmp_path / "20290101.log", encoded(LINES[0]))
    write(tmp_path / "20261122.log", encoded(LINES[1]))
    assert tail.read() == ["journal ਊ", "'1': authorized"]


def test_a_journal_that_is_written_anew_is_read_from_its_begin(tmp_path):
    path = tmp_path / "20261122.log"
    write(path, codecs.BOM_UTF16_LE + encoded(*LINES) + "half a li".encode("utf-16-le"))
    tail = JournalTail(tmp_path)
    tail.read()

    path.write_bytes(codecs.BOM_UTF16_LE + encoded(LINES[0]))

    assert tail.read() == ["'1': authorized"]
    assert tail.read() == []


@pytest.mark.parametrize("ruined", ["a file instead of the folder", "no right to read"])
def test_a_journal_that_cannot_be_read_ends_nobody_and_is_told_once(
    tmp_path, monkeypatch, caplog, ruined
):
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "20261121.log", encoded(LINES[0]))
    tail = JournalTail(folder)
    write(folder / "20261121.log", encoded(LINES[1]))
    with monkeypatch.context() as trouble:
        if ruined == "no right to read":
            refused = PermissionError(13, "in use by another program")
            trouble.setattr(Path, "open", Mock(side_effect=refused))
        else:
            folder.rename(tmp_path / "kept")
            folder.touch()

        assert tail.read() == tail.read() == []
        assert caplog.text.count("cannot be read") == 1

        if folder.is_file():
            folder.unlink()
            (tmp_path / "kept").rename(folder)

    assert tail.read()[-1:] == ["journal ਊ"]
