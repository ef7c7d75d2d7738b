# SPDX-License-Identifier: Apache-2.0
"""Old journals go; a terminal that needs it starts afresh, between two calls, within a budget."""

import asyncio
import os
import signal
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from cluster.waiting import patience_s
from mt5_agent import disk, memory
from mt5_agent.disk import File
from mt5_agent.memory import Memory
from mt5_agent.settings import Settings
from mt5_agent.upkeep import Condition, Upkeep, is_silent, why_restart

DAY_S = 86_400.0
GIB = 1 << 30


def cgroup(folder: Path, *, anon: int, limit: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "memory.stat").write_text(f"anon {anon}\nfile {9 * GIB}\nshmem 5\n")
    (folder / "memory.max").write_text(f"{limit}\n")
    return folder


@pytest.mark.parametrize(
    ("anon", "limit", "soft", "over"),
    [
        (950, "1000", 0, True),
        (800, "1000", 0, False),
        (800, "1000", 700, True),
        (800, "max", 700, True),
    ],
)
def test_memory_is_what_the_kernel_cannot_give_back(tmp_path, anon, limit, soft, over):
    seen = memory.look(cgroup(tmp_path / "cgroup", anon=anon, limit=limit), soft)

    assert seen is not None
    assert seen.used_bytes == anon + 5
    assert seen.is_over is over


def test_without_a_limit_nothing_is_known(tmp_path):
    assert memory.look(cgroup(tmp_path / "cgroup", anon=9, limit="max"), 0) is None
    assert memory.look(tmp_path / "no-cgroup", 5) is None


@pytest.mark.parametrize(
    ("job_limit", "soft", "limit"), [(1000, 0, 900), (1000, 600, 600), (0, 600, 600), (0, 0, None)]
)
def test_on_windows_memory_is_that_of_the_job(tmp_path, monkeypatch, job_limit, soft, limit):
    monkeypatch.setattr(memory.job, "memory", lambda: (700, job_limit))

    seen = memory.look(tmp_path / "no-cgroup", soft)

    assert (seen and seen.soft_limit_bytes) == limit
    assert seen is None or (seen.used_bytes, seen.is_over) == (700, limit < 700)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Condition(), ""),
        (Condition(reason="BrokerUnreachable"), ""),
        (Condition(reason="BadCredentials"), ""),
        (Condition(unsynchronised_s=899), ""),
        (Condition(memory=Memory(1, 2)), ""),
        (Condition(memory=Memory(3 << 20, 2 << 20)), "3 MiB"),
        (Condition(reason="PlatformRejected"), "drops"),
        (Condition(unsynchronised_s=901), "never synchronised"),
    ],
)
def test_only_what_a_fresh_start_may_help_restarts(seen, words):
    why = why_restart(seen, patience_s=900)

    assert words in why
    assert bool(why) is bool(words)


async def test_the_budget_bounds_restarts(tmp_path):
    now, restarts = [0.0], []
    settings = Settings(
        backend="simulator",
        data_dir=tmp_path,
        cgroup_dir=tmp_path / "none",
        planned_restart_interval_s=900,
    )

    async def restart(why: str) -> None:
        restarts.append((now[0], why))

    upkeep = Upkeep(
        settings,
        condition=lambda _: Condition(reason="PlatformRejected"),
        restart=restart,
        clock=lambda: now[0],
    )
    for now[0] in range(0, 3600, 30):
        await upkeep.look()

    assert [at_s for at_s, _ in restarts] == [900, 1800, 2700]


def log_file(name: str, *, days: float, size_bytes: int = 10) -> File:
    return File(Path("/data") / name, size_bytes, -days * DAY_S)


def test_old_journals_go_and_the_newest_of_a_folder_never():
    files = [log_file(f"logs/{days}", days=days) for days in (1, 13, 15, 40)]
    alone = log_file("mql5/logs/only", days=300)

    gone = disk.surplus([*files, alone], now_s=0, keep_days=14, most_bytes=1000)

    assert [file.path.name for file in gone] == ["15", "40"]


def test_too_much_goes_oldest_first():
    files = [log_file(f"logs/{days}", days=days, size_bytes=40) for days in (1, 2, 3, 4)]

    gone = disk.surplus(files, now_s=0, keep_days=14, most_bytes=100)

    assert [file.path.name for file in gone] == ["3", "4"]


def test_only_journals_are_ever_tidied_away(tmp_path):
    old = time.time() - 100 * DAY_S
    names = [
        *("logs/20260101.log", "logs/20260102.log", "MQL5/Logs/1.log", "MQL5/Logs/2.log"),
        *("bases/S/history/EURUSD/2026.hcc", "Config/accounts.dat"),
        "logs/notes.txt",
    ]
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5)
        os.utime(path, (old + number, old + number))

    freed = disk.tidy(tmp_path, now_s=time.time(), keep_days=14, most_bytes=1000)

    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert set(names) - left == {"logs/20260101.log", "MQL5/Logs/1.log"}
    assert freed == 10


def test_crash_dumps_go_wherever_they_lie_and_nothing_else(tmp_path):
    data, prefix = tmp_path / "data", tmp_path / "prefix"
    dumps = [data / "a.dmp", data / "Crash/B.MDMP", prefix / "drive_c/users/x/Temp/c.dmp"]
    others = [data / "bases/S.dat", prefix / "drive_c/windows/d.dmp"]
    for path in (*dumps, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    disk.remove_dumps(disk.dump_folders(data, {"WINEPREFIX": str(prefix), "LOCALAPPDATA": ""}))

    assert [path.exists() for path in (*dumps, *others)] == [False] * 3 + [True] * 2


def test_a_dump_that_cannot_be_removed_keeps_nobody_from_going_on(tmp_path, monkeypatch):
    (tmp_path / "a.dmp").touch()
    (tmp_path / "b.dmp").touch()
    monkeypatch.setattr(Path, "unlink", Mock(side_effect=PermissionError(13, "in use")))

    disk.remove_dumps([tmp_path, tmp_path / "none"])


async def test_a_terminal_that_uses_too_much_memory_is_restarted_and_the_account_goes_on(
    made_agent, sidecar, tmp_path
):
    agent, folder = made_agent, cgroup(tmp_path / "cgroup", anon=10, limit="1000")
    agent.environment |= {
        "MT5_AGENT_CGROUP_DIR": str(folder),
        "MT5_AGENT_UPKEEP_INTERVAL_S": "0.1",
        "MT5_AGENT_PLANNED_RESTART_INTERVAL_S": "0.5",
    }
    await agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()
    before = agent.children()

    cgroup(folder, anon=999, limit="1000")
    await sidecar.until(lambda: sidecar.state.evidence.terminal_restarts >= 1)
    cgroup(folder, anon=10, limit="1000")
    await sidecar.serves()

    assert agent.children()["terminal"] != before["terminal"]
    told = [s.message for s in sidecar.states if "restarted as planned" in s.message]
    assert told
    assert sidecar.state.evidence.reasons == {}  # nothing failed
    assert "exit with code 0" in agent.journal()  # it was asked, not killed


@pytest.mark.parametrize(
    ("reason", "unanswered_s", "silent"),
    [
        ("TerminalFault", 301, True),
        ("TerminalFault", 299, False),
        ("BadCredentials", 9000, False),  # it waits for another Secret
        ("BrokerUnreachable", 9000, False),
        ("", 9000, False),
    ],
)
def test_a_terminal_at_fault_that_answers_nothing_hangs(reason, unanswered_s, silent):
    assert is_silent(Condition(reason=reason, unanswered_s=unanswered_s), limit_s=300) is silent


async def test_a_terminal_that_hangs_is_started_afresh_and_the_account_goes_on(made_agent, sidecar):
    agent = made_agent
    agent.environment |= {
        "MT5_AGENT_UPKEEP_INTERVAL_S": "0.1",
        "MT5_AGENT_UNANSWERED_S": "3",
        "MT5_AGENT_POLL_DEADLINE_S": "0.5",
        "MT5_AGENT_CALL_PATIENCE_S": "0.5",
        "MT5_AGENT_GRACE_S": "1",
    }
    await agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()
    hangs = agent.children()["terminal"]

    os.kill(hangs, signal.SIGSTOP)
    await sidecar.until(lambda: sidecar.state.evidence.terminal_restarts == 1)
    await sidecar.serves()

    assert agent.children()["terminal"] != hangs
    assert "it has not answered for" in agent.log
    assert {state.reason for state in sidecar.states} <= {"", "TerminalFault"}  # no unknown server


async def test_a_broker_that_kicks_is_given_fresh_starts(made_agent, sidecar):
    agent = made_agent
    agent.environment |= {
        "MT5_AGENT_UPKEEP_INTERVAL_S": "0.1",
        "MT5_AGENT_PLANNED_RESTART_INTERVAL_S": "5",
    }
    await agent.start()
    await sidecar.joined()
    sidecar.login(server="Simulator-WineBlocked")

    async with asyncio.timeout(patience_s(60)):
        while not sidecar.state or sidecar.state.evidence.terminal_starts < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    kicked = [s for s in sidecar.states if s.reason == "PlatformRejected"]
    assert kicked
    planned = [s for s in sidecar.states if "restarted as planned" in s.message]
    assert {s.reason for s in planned} == {"PlatformRejected"}
    assert sidecar.state.evidence.authorised_then_lost >= 5
