# SPDX-License-Identifier: Apache-2.0
"""What the terminal writes is passed on without what it should not have written."""

import logging

from mt5_agent.protocol import Login
from mt5_agent.report import Report
from mt5_agent.tail import JournalTail
from mt5_agent.watch import Watch

CANARY = "canary-77d0"


async def test_a_password_in_the_terminals_journal_is_never_passed_on(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    report = Report(backend="simulator", platform="Linux", changed=lambda: None)
    watch = Watch(JournalTail(tmp_path), report, platform="Linux", silence_s=1)
    watch.begin(Login(login_id=1, login=1, server="S", password=CANARY))

    (tmp_path / "20261121.log").write_text(f"A\t0\t1\tNetwork\tused {CANARY} \n", "utf-16-le")
    watch.read()

    assert report.state.journal == ("used ***",)
    assert "used ***" in caplog.text
    assert CANARY not in caplog.text
