# SPDX-License-Identifier: Apache-2.0
"""The image's entry point: the agent on Linux, its worker in Windows Python under Wine."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contract_wine.sidecar_end import TOKEN, SidecarEnd
from contract_wine.wine import Pod

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]
END_S = 60.0


@pytest.fixture
def sidecar() -> Iterator[SidecarEnd]:
    """Return a sidecar's end of the wire."""
    end = SidecarEnd()
    yield end
    end.close()


@contextmanager
def agent(pod: Pod, sidecar: SidecarEnd, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run the container until the block ends, and let the agent in."""
    pod.write("run/mt5/agent/token", TOKEN)
    settings = {f"MT5_AGENT_{name}": value for name, value in env.items()}
    with pod.start(MT5_AGENT_SIDECAR_ADDRESS=sidecar.address, **settings) as process:
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


def test_the_container_ends_with_its_agent_when_it_is_asked_to(
    pod: Pod, sidecar: SidecarEnd
) -> None:
    with agent(pod, sidecar, BACKEND="simulator") as process:
        pod.signal(process, signal.SIGTERM)

        assert process.wait(END_S) == 0
