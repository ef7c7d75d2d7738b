# SPDX-License-Identifier: Apache-2.0
"""What tests start at the same time gets ports of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.paths import REPOSITORY
from cluster.ports import free_port

_GIVEN = """
from cluster.ports import free_port
print(*(free_port() for _ in range(500)), flush=True)
input()
"""


def test_no_port_is_given_twice_whoever_asks() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    argv = [sys.executable, "-c", _GIVEN]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    others = [subprocess.Popen(argv, env=environment, text=True, **pipes) for _ in range(2)]

    given = [free_port() for _ in range(500)]
    for other in others:
        assert other.stdout is not None
        given += map(int, other.stdout.readline().split())
        other.communicate("\n")

    assert len(given) == len(set(given)) == 1500


def test_a_port_is_none_that_somebody_else_gets_by_chance() -> None:
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()

    assert free_port() not in range(int(first), int(last) + 1)


def test_a_port_that_is_listened_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_port(), free_port()
    monkeypatch.setattr("cluster.ports._candidates", lambda: iter((taken, free)))

    with socket.socket() as listens:
        listens.bind(("127.0.0.1", taken))
        listens.listen()

        assert free_port() == free
