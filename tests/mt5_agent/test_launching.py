# SPDX-License-Identifier: Apache-2.0
"""How a real terminal is started, asked to close and cleared away, with a small program in its
place."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from cluster.waiting import patience_s
from mt5_agent import launch, protocol, terminal_ini
from mt5_agent.report import Report
from mt5_agent.settings import Settings, load
from mt5_agent.wanted import Wanted

STUB = Path(__file__).parent / "stub"
SECRET = "canary-5c1d;x"
APPENDS = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"
KILLS = APPENDS + "; import os; os.kill(int(sys.argv[3]), 15)"


class Installed:
    """An agent with the real backend, and a terminal that is a small program."""

    def __init__(self, agent, folder: Path) -> None:
        self.agent, self.ini = agent, folder / "start.ini"
        self.log = folder / "commands.log"
        self.program = agent.data_dir / "terminal64.exe"
        command = [sys.executable, str(STUB / "terminal.py"), str(agent.data_dir)]
        noted = [sys.executable, "-c"]
        agent.environment |= {
            "PYTHONPATH": os.pathsep.join([str(STUB), *sys.path]),
            "MT5_AGENT_BACKEND": "metatrader5",
            "MT5_AGENT_TERMINAL_COMMAND": json.dumps([*command, "/portable", "/config:{ini}"]),
            "MT5_AGENT_TERMINAL_STOP_COMMAND": json.dumps(
                [*noted, KILLS, str(self.log), "stop", "{pid}"]
            ),
            "MT5_AGENT_TERMINAL_KILL_COMMAND": json.dumps([*noted, APPENDS, str(self.log), "kill"]),
            "MT5_AGENT_TERMINAL_INI": str(self.ini),
            "MT5_AGENT_TERMINAL_MISSING_HINT": "mount a terminal",
            "MT5_AGENT_GRACE_S": "20",
        }

    def install(self) -> None:
        self.program.parent.mkdir(exist_ok=True)
        self.program.touch()

    def starts(self) -> list[dict]:
        path = self.agent.data_dir / "starts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def commands(self) -> list[str]:
        return self.log.read_text().split()


@pytest.fixture
def installed(made_agent, tmp_path) -> Installed:
    """A terminal that is there; the agent is not started yet."""
    found = Installed(made_agent, tmp_path)
    found.install()
    return found


async def test_a_real_terminal_starts_with_its_account_in_a_file_that_is_then_gone(
    installed, sidecar
):
    await installed.agent.start()
    await sidecar.becomes("WaitingForLogin")
    assert "terminal" not in installed.agent.children()

    sidecar.login(10001, password=SECRET)
    await sidecar.serves()

    (start,) = installed.starts()
    assert start["words"] == ["/portable", f"/config:{installed.ini}"]
    assert "Login=10001" in start["ini"]
    assert f'Password="{SECRET}"' in start["ini"]
    assert not installed.ini.exists()
    assert SECRET not in installed.agent.log


@pytest.mark.parametrize(
    ("server", "state"), [("Simulator-BadPassword", "Refused"), ("Simulator-Nope", "LoggingIn")]
)
async def test_the_file_is_gone_after_a_log_in_that_failed(installed, sidecar, server, state):
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(server=server, password=SECRET)

    said = await sidecar.becomes(state)
    await sidecar.until(lambda: sidecar.state.reason != "")

    if said.state != "Refused":  # it gives up one attempt, and begins the next without the file
        sidecar.login(password="other")
        await sidecar.serves()
    assert not installed.ini.exists()


async def test_a_password_that_no_file_can_hold_logs_in_all_the_same(installed, sidecar):
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(password="pässword")

    await sidecar.serves()

    (start,) = installed.starts()
    assert "Login=" not in start["ini"]
    assert "Password=" not in start["ini"]
    assert "Enabled=1" in start["ini"]  # or no order of it is taken


async def test_a_terminal_that_ended_is_started_with_its_file_again(installed, sidecar):
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(password=SECRET)
    await sidecar.serves()

    installed.agent.kill_child("terminal")
    await sidecar.until(lambda: sidecar.state.evidence.terminal_restarts == 1)
    await sidecar.serves()

    assert [bool(start["ini"]) for start in installed.starts()] == [True, True]
    assert not installed.ini.exists()


async def test_a_refused_password_is_never_written_again(installed, sidecar):
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(server="Simulator-BadPassword", password="wrong")
    await sidecar.becomes("Refused")

    installed.agent.kill_child("terminal")
    told = len(sidecar.states)
    await sidecar.until(lambda: len(sidecar.states) > told + 3)  # many times the first wait
    sidecar.login(server="Simulator-BadPassword", password="right-password")
    await sidecar.serves()

    passwords = [start["ini"].split("Password=")[1].split()[0] for start in installed.starts()]
    assert passwords == ["wrong", "right-password"]


async def test_a_terminal_that_does_not_close_is_killed_within_the_grace(installed, sidecar, ended):
    deaf = json.dumps([sys.executable, "-c", "import time; time.sleep(600)"])
    installed.agent.environment |= {
        "MT5_AGENT_TERMINAL_COMMAND": deaf,
        "MT5_AGENT_TERMINAL_STOP_COMMAND": "",
        "MT5_AGENT_TERMINAL_INI": "",
        "MT5_AGENT_GRACE_S": "1",
    }
    await installed.agent.start()
    await sidecar.becomes("WaitingForLogin")
    children = installed.agent.children()

    assert await installed.agent.end() == 0

    await ended(*children.values())
    assert installed.commands() == ["kill", "kill"]


async def test_the_terminal_is_asked_to_close_and_what_it_left_is_ended(installed, sidecar):
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()

    assert await installed.agent.end() == 0

    assert installed.commands() == ["kill", "stop", "kill"]
    assert "exit with code 0" in installed.agent.journal()


async def test_without_a_terminal_the_package_is_told_and_what_to_do(installed, sidecar):
    installed.program.unlink()
    await installed.agent.start()

    state = await sidecar.becomes("TerminalStarting", "TerminalMissing")
    await sidecar.until(lambda: sidecar.state.versions.package == "5.0.6231")

    assert state.message == "mount a terminal"
    installed.install()
    sidecar.login()
    await sidecar.serves()
    assert sidecar.state.evidence.terminal_restarts == 0


async def test_a_start_file_left_by_a_killed_agent_is_removed(installed, sidecar):
    installed.ini.write_text("Password=old")
    installed.program.unlink()

    await installed.agent.start()
    await sidecar.becomes("TerminalStarting", "TerminalMissing")

    assert not installed.ini.exists()


async def test_the_password_is_gone_from_disk_arguments_and_environment_after_the_log_in(
    installed, sidecar, tmp_path
):
    await installed.agent.start()
    await sidecar.becomes("WaitingForLogin")
    sidecar.login(password=SECRET)
    await sidecar.serves()

    shown = b""
    for pid in installed.agent.descendants():
        process = Path(f"/proc/{pid}")
        shown += (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    (tmp_path / "data" / "starts.jsonl").unlink()  # the stub's own note of its start file
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert shown
    assert files
    for coded in (SECRET.encode(), SECRET.encode("utf-16-le")):
        assert coded not in shown
        assert not [path for path in files if coded in path.read_bytes()]
    assert SECRET not in repr(sidecar.states)


async def test_a_failed_selftest_is_told_until_the_account_connects(installed, sidecar, tmp_path):
    report = {"ok": False, "findings": [{"name": "desktop", "ok": False, "detail": "no window"}]}
    (tmp_path / "selftest.json").write_text(json.dumps(report))
    installed.agent.environment["MT5_AGENT_SELFTEST_FILE"] = str(tmp_path / "selftest.json")

    await installed.agent.start()
    await sidecar.joined()

    assert {state.selftest for state in sidecar.states} == {"desktop (no window)"}
    sidecar.login(server="Simulator-BadPassword")
    refused = await sidecar.becomes("Refused", "BadCredentials")
    assert "desktop (no window)" in refused.message
    sidecar.login()
    await sidecar.serves()
    assert sidecar.state.message == ""
    assert sidecar.state.selftest == "desktop (no window)"  # a fact of the image, and stays one


async def test_a_worker_in_a_call_does_not_outlive_a_killed_supervisor(agent, sidecar, ended):
    sidecar.login(server="Simulator-Hangs")
    await sidecar.serves()
    children = agent.children()
    sidecar.request("symbol_info", "HANGS", within_s=60)
    late = await sidecar.ask("version", within_s=0.05)
    assert late.outcome == "not_sent"  # the call before it is in the worker's hands
    os.kill(children["terminal"], signal.SIGSTOP)  # and nothing will wake it

    os.kill(agent.pid, signal.SIGKILL)

    await ended(*children.values())


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("", "/d/terminal64.exe"),
        ("/opt/t/terminal64.exe", "/opt/t/terminal64.exe"),
        ("Z:\\opt\\t\\terminal64.exe", "/opt/t/terminal64.exe"),
        ("C:\\mt5\\terminal64.exe", "/d/terminal64.exe"),
    ],
)
def test_the_program_is_looked_for_where_linux_has_it(path, file):
    given = {"BACKEND": "metatrader5", "DATA_DIR": "/d", "TERMINAL_PATH": path}
    settings = load({f"MT5_AGENT_{name}": value for name, value in given.items()})

    assert settings.program_file == Path(file)


SLOW_WORKER = ["sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.05; done; exec "$@"']


@pytest.fixture
def gate(installed, tmp_path) -> Path:
    """A file without which no worker begins: under Wine that takes some seconds."""
    path = tmp_path / "gate"
    command = [*SLOW_WORKER, str(path), sys.executable]
    installed.agent.environment["MT5_AGENT_WORKER_COMMAND"] = json.dumps(command)
    return path


async def test_a_log_out_before_the_log_in_began_takes_the_start_file_away(
    installed, gate, sidecar
):
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(password=SECRET)
    await sidecar.until(lambda: sidecar.state.evidence.terminal_starts == 1)
    assert installed.ini.exists()

    sidecar.send(protocol.Logout())
    gate.touch()
    await sidecar.becomes("WaitingForLogin")

    assert not installed.ini.exists()


async def test_a_terminal_that_ended_leaves_no_start_file_behind(installed, gate, sidecar):
    installed.agent.environment["MT5_AGENT_BACKOFF_S"] = "60"
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(password=SECRET)
    await sidecar.until(lambda: sidecar.state.evidence.terminal_starts == 1)
    assert installed.ini.exists()

    installed.agent.kill_child("terminal")

    await installed.agent.says("terminal ended")
    assert not installed.ini.exists()
    assert not gate.exists()


async def test_a_crash_dump_goes_with_its_terminal_and_one_of_before_at_the_start(
    installed, sidecar
):
    older, newer = installed.agent.data_dir / "old.dmp", installed.agent.data_dir / "x" / "new.DMP"
    newer.parent.mkdir()
    older.touch()
    await installed.agent.start()
    await sidecar.joined()
    assert not older.exists()
    sidecar.login(password=SECRET)
    await sidecar.serves()
    newer.write_text(SECRET)

    installed.agent.kill_child("terminal")

    await sidecar.until(lambda: sidecar.state.evidence.terminal_restarts == 1)
    assert not newer.exists()


async def test_a_start_file_in_use_is_removed_as_soon_as_it_can_be(tmp_path, monkeypatch):
    """Windows lets nobody remove what a program has open."""
    monkeypatch.setattr(launch, "_FORGET_AGAIN_S", 0.01)
    ini, in_use, gone = tmp_path / "start.ini", [True], asyncio.Event()
    remove = terminal_ini.forget

    def forget(path: Path) -> None:
        if in_use[0]:
            raise PermissionError(13, "in use")
        remove(path)
        gone.set()

    monkeypatch.setattr(terminal_ini, "forget", forget)
    given = {"BACKEND": "metatrader5", "DATA_DIR": str(tmp_path), "TERMINAL_INI": str(ini)}
    settings = load({f"MT5_AGENT_{name}": value for name, value in given.items()})
    report = Report(backend="metatrader5", platform="Windows", changed=lambda: None)
    made = launch.Launch(settings, wanted=Wanted(), report=report)
    ini.touch()

    made.forget()
    assert ini.exists()
    in_use[0] = False
    await asyncio.wait_for(gone.wait(), patience_s(10))
    assert not ini.exists()


async def test_a_terminal_that_cannot_be_started_leaves_no_start_file_behind(installed, sidecar):
    installed.agent.environment["MT5_AGENT_TERMINAL_COMMAND"] = "/no/such/program {ini}"
    installed.agent.environment["MT5_AGENT_BACKOFF_S"] = "60"
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(password=SECRET)

    await sidecar.becomes("TerminalStarting", "TerminalMissing")

    assert not installed.ini.exists()


async def test_a_package_that_says_what_nobody_can_read_is_told_and_ends_no_agent(
    installed, sidecar
):
    path = installed.agent.environment["PYTHONPATH"]
    garbage = str(STUB.with_name("stub_garbage"))
    installed.agent.environment |= {
        "PYTHONPATH": os.pathsep.join([garbage, path]),
        "MT5_AGENT_BACKOFF_S": "60",
        "MT5_AGENT_BACKOFF_MAX_S": "60",
    }
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login()

    state = await sidecar.becomes("Disconnected", "TerminalFault")

    assert "nobody can read" in state.message
    assert "account" not in sidecar.snapshots
    beats = len(sidecar.states) + 4  # several times what a log-in takes
    await sidecar.until(lambda: len(sidecar.states) >= beats)
    assert sidecar.state.evidence.logins == 1  # each would be one at the broker, too
    assert installed.agent.process.returncode is None


async def test_a_package_that_quotes_the_password_in_its_error_is_not_quoted(installed, sidecar):
    path = installed.agent.environment["PYTHONPATH"]
    talkative = str(STUB.with_name("stub_talkative"))
    installed.agent.environment["PYTHONPATH"] = os.pathsep.join([talkative, path])
    await installed.agent.start()
    await sidecar.joined()
    sidecar.login(password=SECRET)

    state = await sidecar.becomes("LoggingIn", "TerminalFault")

    assert "not understood" in state.message
    assert SECRET not in repr(sidecar.states)
    await installed.agent.says("log-in failed")
    assert SECRET not in installed.agent.log


async def test_a_command_that_does_not_end_is_killed_after_as_long_as_is_set():
    sleeps = json.dumps([sys.executable, "-c", "import time; time.sleep(60)"])
    settings = Settings(backend="simulator", terminal_kill_command=sleeps, command_timeout_s=0.05)

    async with asyncio.timeout(15):  # less than the default would take
        await launch.Launch(settings, wanted=Wanted(), report=None).clear()
