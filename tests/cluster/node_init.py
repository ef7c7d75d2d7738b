# SPDX-License-Identifier: Apache-2.0
"""The first process of a real node: makes it look like a machine, and keeps its programs running.

A node is a set of namespaces (mounts, network, processes, control groups) in which kubelet,
kube-proxy and containerd live as if alone. So they cannot meet those of another cluster or of the
host, and when this process ends, the kernel removes all of it: processes, mounts, devices, rules.

`python -m cluster.node_init enter SPEC` joins the node's control group and makes the namespaces;
in them, as process 1, `python -m cluster.node_init run SPEC` does the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from cluster import cgroups
from cluster.command import run
from cluster.waiting import wait_for

HOME: Final = Path("/run/node")
"""Where the node finds its own directory, whatever that is called on the host."""

DEVICE: Final = "eth0"
_RESTART_DELAY_S: Final = 1.0


@dataclass(frozen=True)
class Service:
    """A program that runs as long as the node does; started when the file `after` is there."""

    name: str
    argv: list[str]
    after: str = ""


@dataclass(frozen=True)
class Spec:
    """What makes a node: its name, directories on the host, addresses and programs."""

    name: str
    directory: str
    logs: str
    group: str
    address: str
    gateway: str
    services: list[Service]

    def write(self, path: Path) -> Path:
        """Write it to a file for the process that is to become the node; return the path."""
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Spec:
        """Return what `write` wrote."""
        content = json.loads(path.read_text())
        services = [Service(**service) for service in content.pop("services")]
        return cls(services=services, **content)


def enter(spec: Path) -> NoReturn:
    """Join the node's control group and become `unshare`, which starts `run` in new namespaces."""
    cgroups.join(Spec.read(spec).group)
    namespaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--mount-proc"]
    again = [sys.executable, "-m", "cluster.node_init", "run", str(spec)]
    argv = ["unshare", *namespaces, "--fork", "--kill-child", "--", *again]
    os.execvp(argv[0], argv)  # noqa: S606 - no shell wanted


def run_node(spec: Spec) -> NoReturn:
    """Make this process's namespaces a node, and keep its programs running for ever."""
    signal.signal(signal.SIGTERM, _end)  # process 1 has no default
    _mount(spec)
    cgroups.delegate()
    run(["hostname", spec.name])
    _configure_network(spec)
    _keep_running(spec.services)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(0)  # the kernel ends all others


def _mount(spec: Spec) -> None:
    v1 = cgroups.hierarchies(Path("/proc/mounts").read_text())
    run(["mount", "--make-rshared", "/"])
    run(["mount", "-t", "sysfs", "sysfs", "/sys"])  # that of our network
    _mount_cgroups(v1)
    # Private ones, so that sockets, locks and records of containers are not the host's.
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    for name in ("node", "var", "var-work"):
        (HOME.parent / name).mkdir()
    run(["mount", "--bind", spec.directory, HOME])
    run(["mount", "--bind", spec.logs, HOME / "logs"])
    layers = "lowerdir=/var,upperdir=/run/var,workdir=/run/var-work"
    run(["mount", "-t", "overlay", "overlay", "-o", layers, "/var"])


def _mount_cgroups(v1: list[cgroups.Hierarchy]) -> None:
    if not v1:
        run(["mount", "-t", "cgroup2", "cgroup2", cgroups.ROOT])
        return
    run(["mount", "-t", "tmpfs", "tmpfs", cgroups.ROOT])
    for each in v1:
        each.mount.mkdir()
        run(["mount", "-t", "cgroup", "-o", each.option, "cgroup", each.mount])


def _configure_network(spec: Spec) -> None:
    wait_for(
        lambda: Path(f"/sys/class/net/{DEVICE}").exists(),
        what=f"the host to give us {DEVICE}",
        timeout_s=30,
        interval_s=0.02,
    )
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{spec.address}/24", "dev", DEVICE])
    run(["ip", "link", "set", DEVICE, "up"])
    run(["ip", "route", "add", "default", "via", spec.gateway])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _keep_running(services: list[Service]) -> NoReturn:
    running = {_started(service): service for service in services}
    while True:
        pid, status = os.wait()  # buries orphans, too
        if service := running.pop(pid, None):
            print(f"{service.name} ended: {status}; starting it again", flush=True)
            time.sleep(_RESTART_DELAY_S)
            running[_started(service)] = service


def _started(service: Service) -> int:
    if service.after:
        wait_for(
            lambda: Path(service.after).exists(),
            what=service.after,
            timeout_s=60,
            interval_s=0.02,
        )
    with (HOME / "logs" / f"{service.name}.log").open("ab") as log:
        child = subprocess.Popen(
            service.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=HOME,
            start_new_session=True,
        )
    return child.pid


if __name__ == "__main__":
    step, file = sys.argv[1], Path(sys.argv[2])
    if step == "enter":
        enter(file)
    run_node(Spec.read(file))
