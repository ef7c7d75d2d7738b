# SPDX-License-Identifier: Apache-2.0
"""What the terminal writes is passed on without what it should not have written."""

import logging
from pathlib import Path

import pytest

from mt5_agent.protocol import Login
from mt5_agent.reasons import Reason
from mt5_agent.report import Report
from mt5_agent.tail import JournalTail
from mt5_agent.watch import JournalWatch

CANARY = "canary-77d0"


async def test_a_password_in_the_terminals_journal_is_never_passed_on(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    report = Report(backend="simulator", platform="Linux", changed=lambda: None)
    watch = JournalWatch(JournalTail(tmp_path), report, platform="Linux", silence_s=1)
    watch.begin(Login(login_id=1, login=1, server="S", password=CANARY))

    (tmp_path / "20261121.log").write_text(f"A\t0\t1\tNetwork\tused {CANARY} \n", "utf-16-le")
    watch.read()

    assert report.state.journal == ("used ***",)
    assert "used ***" in caplog.text
    assert CANARY not in caplog.text


def journal(folder: Path, *lines: str) -> None:
    text = "".join(f"A\t0\t1\tNetwork\t{line} \n" for line in lines)
    with (folder / "20261121.log").open("ab") as file:
        file.write(text.encode("utf-16-le"))


@pytest.fixture
def watched(tmp_path) -> tuple[JournalWatch, Report]:
    """A journal that begins empty, and who reads it."""
    report = Report(backend="simulator", platform="Linux", changed=lambda: None)
    (tmp_path / "20261121.log").touch()
    tail = JournalTail(tmp_path)
    return JournalWatch(tail, report, platform="Linux", silence_s=1), report


async def test_the_password_before_is_not_passed_on_either(watched, tmp_path):
    watch, report = watched
    for number, password in enumerate(("canary-old", "canary-old-and-new"), 1):
        watch.begin(Login(login_id=number, login=1, server="S", password=password))

    journal(tmp_path, "had canary-old-and-new and canary-old")
    watch.read()

    assert report.state.journal == ("had *** and ***",)


async def test_a_message_that_quotes_the_journal_is_cleaned_too(watched, tmp_path):
    watch, _ = watched
    watch.begin(Login(login_id=1, login=1, server="S", password=CANARY))

    journal(tmp_path, f"'1': authorization on S failed (Wrong {CANARY})")
    found = watch.finding(code=-6)

    assert found.reason is Reason.BAD_CREDENTIALS
    assert CANARY not in found.message


@pytest.mark.parametrize("password", ["lost", "authorized", "a", "connection"])
async def test_a_password_that_is_a_common_word_changes_no_judgement(watched, tmp_path, password):
    watch, report = watched
    watch.begin(Login(login_id=1, login=1, server="S", password=password))

    journal(tmp_path, "'1': authorized on S through Access Point 1", "'1': connection to S lost")
    found = watch.finding()

    assert found.reason is Reason.BROKER_UNREACHABLE
    assert report.state.evidence.authorised_then_lost == 1
    assert not [line for line in report.state.journal if password in line]
