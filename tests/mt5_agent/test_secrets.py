# SPDX-License-Identifier: Apache-2.0
"""The password exists in messages and in memory, and nowhere else."""

from pathlib import Path

CANARY = "canary-9f27c1d4"


def shown_by_the_system(pid: int) -> bytes:
    process = Path(f"/proc/{pid}")
    return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()


async def test_the_password_is_in_no_argument_environment_file_or_log(agent, sidecar):
    sidecar.login(server="Simulator-BadPassword", password=CANARY)
    await sidecar.becomes("Refused")
    sidecar.login(password=CANARY)
    await sidecar.serves()

    for pid in (agent.pid, *agent.children().values()):
        assert CANARY.encode() not in shown_by_the_system(pid)
    files = [path.read_bytes() for path in agent.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [data for data in files if CANARY.encode() in data]
    assert not [data for data in files if CANARY.encode("utf-16-le") in data]
    assert not [line for state in sidecar.states for line in state.journal if CANARY in line]
    await agent.end()
    assert "terminal started" in agent.log
    assert CANARY not in agent.log
