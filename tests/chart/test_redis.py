# SPDX-License-Identifier: Apache-2.0
"""The bundled Redis, started by the chart's own words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from chart.rendering import only, rendered
from cluster.ports import free_port
from cluster.waiting import wait_for
from router.programs import ensure

pytestmark = pytest.mark.cluster  # needs helm, which the test cluster builds

FIRST = r"""fir$t "\\'` \n"""
"""A password with all that a shell or Redis' file might take for its own."""


@pytest.fixture
def place(tmp_path: Path) -> tuple[int, Path]:
    """Return a port, and where Redis finds its password, `FIRST`."""
    ensure()
    (tmp_path / "password").write_text(FIRST + "\n")
    return free_port(), tmp_path / "password"


@pytest.fixture
def bundled(place: tuple[int, Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Return the container's process, with paths and a port of this test's own."""
    port, password = place
    redis = only(rendered("default"), "Deployment", "demo-redis")
    (container,) = redis["spec"]["template"]["spec"]["containers"]
    *shell, script = container["command"]
    ours = {
        "/tmp": str(password.parent),  # noqa: S108 - the container's
        "/run/mt5/redis/password": str(password),
        "6379": str(port),
        "sleep 5": "sleep 0.05",
    }
    for theirs, mine in ours.items():
        assert theirs in script
        script = script.replace(theirs, mine)
    words = [*shell, script]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        yield process
        # A container would end all of it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_redis_ends_when_its_password_changes_and_so_starts_with_the_new_one(
    place: tuple[int, Path], bundled: subprocess.Popen[bytes]
) -> None:
    port, password = place

    def answers(word: str) -> bool:
        try:
            return bool(Redis(port=port, password=word).ping())
        except RedisError:
            return False

    wait_for(lambda: answers(FIRST), what="Redis to answer", timeout_s=20)
    with pytest.raises(AuthenticationError):
        Redis(port=port, password="second").ping()

    password.write_text("second")

    assert bundled.wait(20) == 0
