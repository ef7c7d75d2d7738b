# SPDX-License-Identifier: Apache-2.0
"""A real node: kubelet, kube-proxy and containerd in namespaces of their own, DNS and volumes.

Seen from the host, the node is a machine on the cluster's bridge: its pods, its Services and its
node ports can be reached from the host. Pods reach each other, Services, the API and the host.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Final, Literal

from cluster import cgroups, network, node_files, packages, pause, provisioner
from cluster.api import Api
from cluster.binaries import binary
from cluster.command import run
from cluster.control_plane import DNS_DOMAIN, ControlPlane
from cluster.node_init import DEVICE, HOME, Service, Spec
from cluster.paths import REPOSITORY, system_program
from cluster.process import Program
from cluster.waiting import wait_for

ServiceName = Literal["containerd", "kubelet", "kube-proxy"]

_DNS_HEALTH_PORT: Final = 8181
_CTR: Final = ("ctr", "--address", node_files.CONTAINERD_SOCKET, "--namespace", "k8s.io")


class Node:
    """One real node of a control plane that runs."""

    def __init__(self, plane: ControlPlane, *, index: int = 0) -> None:
        self.name = f"node-{index}"
        self._plane = plane
        self._index = index

    @property
    def directory(self) -> Path:
        """Return the node's directory on the host; inside it is `/run/node`."""
        return self._plane.directory / self.name

    @property
    def address(self) -> str:
        """Return the node's address; node ports are there, and on no other."""
        return self._plane.addresses.machine(self._index)

    def programs(self) -> list[Program]:
        """Return what should run: the node itself, and what serves it from the host."""
        return [self._machine, self._dns, self._volumes]

    def start(self, *, timeout_s: float = 90) -> None:
        """Start what does not run yet, and wait until the node is Ready.

        Raises:
            NotReady: it was not within `timeout_s`; the message shows the end of a log.
            Unsupported: this machine cannot run it.
        """
        packages.ensure(packages.NODE)
        self._write_files()
        for program in self.programs():
            program.start()
        self._connect()
        self._wait_for_containerd()
        self.load(pause.archive())
        self._plane.kubectl.apply(provisioner.STORAGE_CLASS)
        self._wait_until_ready(timeout_s=timeout_s)

    def stop(self) -> None:
        """End the node with all its pods; the kernel removes its mounts, devices and rules."""
        for program in self._recorded_programs():
            program.stop(grace_s=2)
        if held := network.claimed(self._plane.directory):
            cgroups.remove(_group(held.slot, self._index))
        shutil.rmtree(self.directory, ignore_errors=True)

    def load(self, *archives: Path) -> None:
        """Make the images in archives known to the node.

        Raises:
            CommandFailed: containerd refused one.
        """
        for archive in archives:
            with archive.open("rb") as content:
                self.run([*_CTR, "images", "import", "-"], stdin=content.fileno())

    def images(self) -> list[str]:
        """Return the names of all images that the node knows."""
        return self.run([*_CTR, "images", "list", "--quiet"]).split()

    def run(self, argv: Sequence[str], *, stdin: int | None = None) -> str:
        """Run a program in the node's namespaces, without those of its processes."""
        inside = ["nsenter", "--target", str(self._pid), "--mount", "--net", "--uts", "--ipc"]
        return run([*inside, "--", *argv], stdin_file=stdin)

    def signal(self, service: ServiceName, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of the node's programs; one that ends is started again."""
        os.kill(self._service_pid(service), number)

    @cached_property
    def _group(self) -> str:
        return _group(self._plane.addresses.slot, self._index)

    @property
    def _pid(self) -> int:
        running = self._machine.running
        assert running is not None, f"{self.name} does not run"
        return running.pid

    @property
    def _machine(self) -> Program:
        spec = self.directory / "spec.json"
        return self._program(self.name, sys.executable, "-m", "cluster.node_init", "enter", spec)

    @property
    def _dns(self) -> Program:
        corefile = self.directory / "Corefile"
        return self._program("coredns", binary("coredns"), "-conf", corefile)

    @property
    def _volumes(self) -> Program:
        kubeconfig, volumes = self.directory / "admin", self.directory / "volumes"
        module = ["-m", "cluster.provisioner"]
        return self._program("volumes", sys.executable, *module, kubeconfig, volumes)

    def _recorded_programs(self) -> list[Program]:
        return [self._program(name) for name in (self.name, "coredns", "volumes")]

    def _program(self, name: str, *argv: str | Path) -> Program:
        return Program(
            name,
            [str(word) for word in argv],
            self._plane.directory,
            outlives_us=self._plane.outlives_us,
            env={"PYTHONPATH": str(REPOSITORY / "tests")},
        )

    def _service_pid(self, service: ServiceName) -> int:
        return wait_for(
            lambda: _child_named(_only_child(self._pid), service),
            what=f"{service} to run in {self.name}",
            timeout_s=10,
        )

    def _write_files(self) -> None:
        self.directory.mkdir(exist_ok=True)
        for name in ("cni", "logs", "pki"):
            (self.directory / name).mkdir(exist_ok=True)
        self._write_secrets()
        for name, content in self._contents().items():
            (self.directory / name).write_text(content)
        self._spec().write(self.directory / "spec.json")

    def _contents(self) -> dict[str, str]:
        addresses = self._plane.addresses
        return {
            "containerd.toml": node_files.containerd(sandbox_image=pause.IMAGE),
            "cni/pods.conflist": node_files.cni(pods=str(addresses.pods_of(self._index))),
            "kubelet.yaml": node_files.kubelet(dns=addresses.host, dns_domain=DNS_DOMAIN),
            "resolv.conf": f"nameserver {addresses.host}\n",
            "Corefile": node_files.corefile(
                address=addresses.host,
                health=f"{addresses.loopback}:{_DNS_HEALTH_PORT}",
                kubeconfig=str(self.directory / "admin"),
                dns_domain=DNS_DOMAIN,
                upstream=_upstream_resolvers(),
            ),
        }

    def _write_secrets(self) -> None:
        authority, pki = self._plane.authority, self.directory / "pki"
        shutil.copy(authority.pair.certificate, pki / "ca.crt")
        serving = authority.server(f"{self.name}-serving", hosts=[self.name, self.address])
        shutil.copy(serving.certificate, pki / "kubelet-serving.crt")
        shutil.copy(serving.key, pki / "kubelet-serving.key")
        for file, user, groups in (
            ("kubelet", f"system:node:{self.name}", ("system:nodes",)),
            ("kube-proxy", "system:kube-proxy", ()),
            ("admin", "node-services", ("system:masters",)),
        ):
            self._plane.write_kubeconfig(self.directory / file, user=user, groups=groups)

    def _spec(self) -> Spec:
        return Spec(
            name=self.name,
            directory=str(self.directory),
            logs=str(self._plane.directory / "logs"),
            group=self._group,
            address=self.address,
            gateway=self._plane.addresses.host,
            services=[self._containerd(), self._kubelet(), self._kube_proxy()],
        )

    def _containerd(self) -> Service:
        program = system_program("containerd") or "containerd"
        return Service("containerd", [program, "--config", f"{HOME}/containerd.toml"])

    def _kubelet(self) -> Service:
        argv = [
            str(binary("kubelet")),
            f"--config={HOME}/kubelet.yaml",
            f"--kubeconfig={HOME}/kubelet",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            f"--root-dir={HOME}/kubelet-root",
            f"--cert-dir={HOME}/pki",
        ]
        return Service("kubelet", argv, after=node_files.CONTAINERD_SOCKET)

    def _kube_proxy(self) -> Service:
        argv = [
            str(binary("kube-proxy")),
            f"--kubeconfig={HOME}/kube-proxy",
            f"--hostname-override={self.name}",
            f"--cluster-cidr={self._plane.addresses.pods}",
            "--proxy-mode=iptables",
            "--iptables-localhost-nodeports=false",
            # The kernel's limits are the host's, and not ours to change.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ]
        return Service("kube-proxy", argv)

    def _connect(self) -> None:
        addresses, cable = self._plane.addresses, f"mt5ve{self._plane.addresses.slot}-{self._index}"
        self._wait_for_namespaces()
        if not Path(f"/sys/class/net/{cable}").exists():
            peer = ["peer", "name", DEVICE, "netns", str(self._pid)]
            run(["ip", "link", "add", cable, "type", "veth", *peer])
        run(["ip", "link", "set", cable, "master", addresses.bridge, "up"])
        for destination in (addresses.pods_of(self._index), addresses.services):
            run(["ip", "route", "replace", str(destination), "via", self.address])

    def _wait_for_namespaces(self) -> None:
        ours = Path("/proc/self/ns/net").readlink()
        wait_for(
            lambda: Path(f"/proc/{self._pid}/ns/net").readlink() != ours,
            what=f"{self.name} to have a network of its own",
            timeout_s=10,
            interval_s=0.01,
            hint=self._machine.last_words,
        )

    def _wait_for_containerd(self) -> None:
        wait_for(
            lambda: self._file(node_files.CONTAINERD_SOCKET).exists(),
            what=f"containerd to listen in {self.name}",
            timeout_s=30,
            interval_s=0.05,
            hint=self._machine.last_words,
        )

    def _file(self, path: str) -> Path:
        # How the host sees a file of the node.
        return Path(f"/proc/{self._pid}/root{path}")

    def _wait_until_ready(self, *, timeout_s: float) -> None:
        # After a crash the API still calls the node Ready for a while; so kubelet is asked itself.
        api = Api(self._plane.kubeconfig)
        for path in (f"/api/v1/nodes/{self.name}", f"/api/v1/nodes/{self.name}/proxy/healthz"):
            wait_for(
                partial(api.answers, path),
                what=f"kubelet of {self.name} to answer",
                timeout_s=timeout_s,
                hint=self._program("kubelet").last_words,
            )
        self._plane.kubectl.wait_for_ready("node", self.name, timeout_s=timeout_s)
        wait_for(
            lambda: _answers(self._plane.addresses.loopback, _DNS_HEALTH_PORT, "/ready"),
            what="DNS to answer",
            timeout_s=timeout_s,
            hint=self._dns.last_words,
        )


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _group(slot: int, index: int) -> str:
    return f"mt5node{slot}-{index}"


def _upstream_resolvers() -> str:
    text = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
    return "/etc/resolv.conf" if "nameserver" in text else ""


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _only_child(pid: int) -> int:
    (child,) = _children(pid)
    return child


def _child_named(pid: int, name: str) -> int | None:
    # The kernel keeps the first 15 characters of a name.
    comm = {child: Path(f"/proc/{child}/comm").read_text().strip() for child in _children(pid)}
    return next((child for child, found in comm.items() if found == name[:15]), None)
