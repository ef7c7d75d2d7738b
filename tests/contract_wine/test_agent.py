# SPDX-License-Identifier: Apache-2.0
"""The image's entry point: the agent on Linux, its worker in Windows Python under Wine."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from contract_wine.sidecar_end import TOKEN, SidecarEnd
from contract_wine.wine import PYTHON, Pod

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]
END_S = 60.0


@pytest.fixture
def sidecar() -> Iterator[SidecarEnd]:
    """Return a sidecar's end of the wire."""
    end = SidecarEnd()
    yield end
    end.close()


@contextmanager
def agent(
    pod: Pod, sidecar: SidecarEnd, argv: Sequence[str] = (), **env: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the container until the block ends, and let the agent in."""
    pod.write("run/mt5/agent/token", TOKEN)
    settings = {
        name if name.startswith("MT5_") else f"MT5_AGENT_{name}": value
        for name, value in env.items()
    }
    with pod.start(argv, MT5_AGENT_SIDECAR_ADDRESS=sidecar.address, **settings) as process:
        try:
            sidecar.welcome()
            yield process
        finally:
            pod.end(process)


def test_without_a_terminal_the_account_is_told_so_and_what_to_do(
    pod: Pod, sidecar: SidecarEnd
) -> None:
    with agent(pod, sidecar):
        sidecar.login("Broker-Server")

        state = sidecar.becomes("TerminalStarting", "TerminalMissing")

        assert "terminal" in state.message


def test_the_simulator_in_windows_python_connects_and_answers(
    pod: Pod, sidecar: SidecarEnd
) -> None:
    with agent(pod, sidecar, BACKEND="simulator"):
        sidecar.login("Simulator-Demo")
        state = sidecar.becomes("Connected")

        answer = sidecar.ask("account_info")

        assert state.versions.package == "5.0.6231"
        assert answer.outcome == "done"


def test_ipv4_is_preferred_where_a_name_has_both(pod: Pod) -> None:
    source = "print([l for l in open('/etc/gai.conf') if l.startswith('precedence')])"
    with pod.start(["/usr/bin/python3", "-c", source]) as process:
        output, errors = process.communicate(timeout=END_S)

    assert output.strip() == "['precedence ::ffff:0:0/96 100\\n']", errors


def test_a_mounted_terminal_of_another_checksum_is_not_started(
    pod: Pod, sidecar: SidecarEnd
) -> None:
    program = pod.path("opt/mt5/terminal/terminal64.exe")
    program.write_bytes(b"not the terminal that was meant")
    try:
        with agent(pod, sidecar, MT5_TERMINAL_SHA256="0" * 64):
            sidecar.login("Broker-Server")

            state = sidecar.becomes("TerminalStarting", "TerminalMissing")

            assert "MT5_TERMINAL_SHA256" in state.message
    finally:
        program.unlink()


def _restarts(sidecar: SidecarEnd) -> int:
    return sidecar.state.evidence.worker_restarts if sidecar.state else 0


def test_the_supervisor_too_runs_in_windows_python_as_on_a_windows_node(
    pod: Pod, sidecar: SidecarEnd
) -> None:
    # Its own event loop, pipes and processes; the image's commands are those of Linux.
    own = {"WORKER_COMMAND": "", "TERMINAL_COMMAND": "", "PLATFORM": "Windows"}
    with agent(pod, sidecar, [PYTHON, "-m", "mt5_agent"], BACKEND="simulator", **own):
        sidecar.login("Simulator-Hangs")
        state = sidecar.becomes("Connected")
        positions = sidecar.ask("positions_get")

        hung = sidecar.ask("symbol_info", "HANGS", within_ms=500)
        sidecar.until(lambda: _restarts(sidecar) == 1)
        sidecar.becomes("Connected")
        again = sidecar.ask("account_info")

    assert (state.versions.platform, state.versions.backend) == ("Windows", "simulator")
    assert [positions.outcome, hung.outcome, again.outcome] == ["done", "unknown", "done"]


def test_the_container_ends_with_its_agent_when_it_is_asked_to(
    pod: Pod, sidecar: SidecarEnd
) -> None:
    with agent(pod, sidecar, BACKEND="simulator") as process:
        pod.signal(process, signal.SIGTERM)

        assert process.wait(END_S) == 0
