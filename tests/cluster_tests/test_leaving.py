# SPDX-License-Identifier: Apache-2.0
"""A cluster that is ended, or killed and then ended, leaves nothing on the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import network, state
from cluster.command import run
from cluster.local import LocalCluster
from cluster.paths import REPOSITORY
from cluster.pause import IMAGE

pytestmark = pytest.mark.e2e


@pytest.fixture
def place() -> Iterator[Path]:
    place = state.directory(f"test-leaving-{os.getpid()}")
    state.own(place)
    yield place
    LocalCluster(place).stop()


def left_of(place: Path) -> list[str]:
    """Return what can be seen on this host of the cluster in `place`."""
    mounts = Path("/proc/mounts").read_text().splitlines()
    processes = run(["ps", "-eo", "args"]).splitlines()
    held = network.claimed(place)
    return [
        *(line for line in mounts + processes if str(place) in line),
        *([held.bridge] if held else []),
        *(entry.name for entry in place.iterdir() if entry.name != "logs"),
    ]


def left_of_slot(slot: int) -> list[str]:
    """Return the devices, control groups and routes of a slot on this host."""
    addresses = network.Addresses(slot)
    network_devices = Path("/sys/class/net")
    devices = [*network_devices.glob(f"mt5br{slot}"), *network_devices.glob(f"mt5ve{slot}-*")]
    groups = Path("/sys/fs/cgroup").glob(f"**/mt5node{slot}-*")
    routes = run(["ip", "-4", "route", "show", "table", "all", "root", str(addresses.whole)])
    return [*(str(path) for path in [*devices, *groups]), *routes.splitlines()]


def firewall_rules_of_kubernetes() -> list[str]:
    return [line for line in run(["iptables-save"]).splitlines() if "KUBE-" in line]


def started(place: Path) -> LocalCluster:
    cluster = LocalCluster(place, with_node=True)
    cluster.start()
    cluster.kubectl("run", "pod", f"--image={IMAGE}")
    cluster.kubectl.wait_for_ready("pod", "pod", timeout_s=60)
    return cluster


@pytest.mark.parametrize("killed", [False, True])
def test_an_ended_cluster_leaves_nothing_but_logs(place: Path, *, killed: bool) -> None:
    rules = firewall_rules_of_kubernetes()
    cluster = started(place)
    slot = cluster.control_plane.addresses.slot
    assert left_of(place)
    assert left_of_slot(slot)
    assert firewall_rules_of_kubernetes() == rules  # those of the node are the node's

    if killed:
        for program in cluster.programs():
            program.signal(signal.SIGKILL)
    cluster.stop()

    assert left_of(place) == []
    assert left_of_slot(slot) == []


def test_a_cluster_that_was_killed_starts_again_with_its_pods(place: Path) -> None:
    cluster = started(place)
    for program in cluster.programs():
        program.kill()

    LocalCluster(place, with_node=True).start()

    def restarted(pod: dict[str, dict[str, list[dict[str, int]]]]) -> bool:
        return pod["status"]["containerStatuses"][0]["restartCount"] > 0

    cluster.kubectl.wait_for("pod", "pod", restarted, timeout_s=60)
    cluster.kubectl.wait_for_ready("pod", "pod", timeout_s=60)


@pytest.mark.parametrize("after_s", [0.4, 1.5, 3.5])
def test_an_interrupted_start_can_be_ended(place: Path, *, after_s: float) -> None:
    (place / "owner").unlink()
    command = [sys.executable, "-m", "cluster", "--name", place.name, "up", "--node"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as up:
        time.sleep(after_s)  # where in the start this is, matters to nobody: anywhere will do
        up.kill()
    held = network.claimed(place)

    LocalCluster(place).stop()

    assert left_of(place) == []
    assert held is None or left_of_slot(held.slot) == []
