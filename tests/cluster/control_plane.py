# SPDX-License-Identifier: Apache-2.0
"""etcd, API server, controller manager and scheduler of one cluster, and KWOK if wanted.

Each component is a `Program`: tests stop, kill and start them one by one to see what the project
makes of it.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from cluster import kubeconfig, kwok, network
from cluster.api import Api
from cluster.binaries import binary
from cluster.certificates import Authority
from cluster.kubectl import Kubectl
from cluster.network import Addresses
from cluster.process import Program
from cluster.waiting import wait_for

Component = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]

API_PORT: Final = 6443
DNS_DOMAIN: Final = "cluster.local"
# Big enough that a test never waits for our own client-side limit.
_GENEROUS: Final = ("--kube-api-qps=300", "--kube-api-burst=600")
_FAKE_NODE_CAPACITY: Final = {"cpu": "64", "memory": "256Gi", "pods": "1000"}


class ControlPlane:
    """A Kubernetes API with its controllers; its files are in `directory`.

    With `outlives_us` its programs go on after this process, and a later `ControlPlane` with the
    same directory finds them again; else they end with it, however it ends.
    """

    def __init__(
        self, directory: Path, *, name: str = "", with_kwok: bool = True, outlives_us: bool = False
    ) -> None:
        self.directory = directory.absolute()
        self.name = name or directory.name
        self.with_kwok = with_kwok
        self.outlives_us = outlives_us

    @cached_property
    def addresses(self) -> Addresses:
        """Return the cluster's addresses; takes them if it has none yet."""
        return network.claim(self.name, self.directory)

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig file."""
        return self.directory / "kubeconfig"

    @property
    def server(self) -> str:
        """Return the API server's address as a URL."""
        return f"https://{self.addresses.host}:{API_PORT}"

    @cached_property
    def authority(self) -> Authority:
        """Return the cluster's certificate authority."""
        return Authority(self.directory / "pki")

    @cached_property
    def kubectl(self) -> Kubectl:
        """Return kubectl on this cluster."""
        return Kubectl(self.kubeconfig)

    def start(self, *, timeout_s: float = 60) -> None:
        """Start what does not run yet, and wait until the cluster answers.

        Raises:
            NotReady: it did not within `timeout_s`; the message shows the end of a log.
            Unsupported: this machine cannot run it.
        """
        self._prepare()
        self.component("etcd").start()
        self.component("kube-apiserver").start()
        self._wait_for_answer("/readyz", timeout_s=timeout_s)
        for name in self._component_names()[2:]:
            self.component(name).start()  # before /readyz they are not yet permitted anything
        self.wait_until_ready(timeout_s=timeout_s)

    def stop(self) -> None:
        """End everything and forget it; only logs stay."""
        names = reversed(self._component_names(every=True))
        programs = [self._program(name, []) for name in names]
        for program in programs:
            program.signal(signal.SIGKILL)  # nothing is worth saving
        for program in programs:
            program.stop()
        network.release(self.directory)
        self.__dict__.pop("addresses", None)
        self._forget(but=("logs",))

    def component(self, name: Component) -> Program:
        """Return a component, to stop, kill or start it."""
        return self._program(name, self._commands()[name])

    def programs(self) -> list[Program]:
        """Return what should run."""
        return [self.component(name) for name in self._component_names()]

    def restart_apiserver(self, *, kill: bool = False, timeout_s: float = 60) -> None:
        """Stop the API server, or `kill` it, then start it and wait until it answers."""
        apiserver = self.component("kube-apiserver")
        if kill:
            apiserver.kill()
        else:
            apiserver.stop(grace_s=30)  # it takes more than 4 s to say goodbye to its watchers
        apiserver.start()
        self.wait_until_ready(timeout_s=timeout_s)

    def wait_until_ready(self, *, timeout_s: float) -> None:
        """Wait until the API is ready, and a pod could be created in `default`."""
        self._wait_for_answer("/readyz", timeout_s=timeout_s)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait_for_answer(account, timeout_s=timeout_s)

    def _wait_for_answer(self, path: str, *, timeout_s: float) -> None:
        def last_words() -> str:
            programs = self.programs()
            dead = [program for program in programs if not program.running]
            return "\n".join(program.last_words() for program in dead or programs[1:2])

        api = Api(self.kubeconfig)
        wait_for(
            lambda: api.answers(path),
            what=f"the API server of cluster {self.name} to answer {path}",
            timeout_s=timeout_s,
            interval_s=0.05,
            hint=last_words,
        )

    def add_fake_nodes(
        self,
        count: int,
        *,
        os: Literal["linux", "windows"] = "linux",
        prefix: str = "",
        capacity: Mapping[str, str] = _FAKE_NODE_CAPACITY,
        timeout_s: float = 60,
    ) -> list[str]:
        """Add fake nodes, wait until they are Ready, and return their names.

        They are called `prefix`, by default `fake-linux-` or `fake-windows-`, and a number.
        """
        names = [f"{prefix or f'fake-{os}-'}{index}" for index in range(count)]
        nodes = [kwok.fake_node(name, os=os, capacity=capacity) for name in names]
        existing = {node["metadata"]["name"] for node in self.kubectl.list("nodes")}
        new = [node for node in nodes if node["metadata"]["name"] not in existing]
        if new:
            items = {"apiVersion": "v1", "kind": "List", "items": new}
            self.kubectl("create", "--filename", "-", stdin=json.dumps(items))
        wanted = [f"node/{name}" for name in names]
        if wanted:
            self.kubectl(
                "wait",
                "--for=condition=Ready",
                f"--timeout={timeout_s:g}s",
                *wanted,
                timeout_s=timeout_s + 10,
            )
        return names

    def write_kubeconfig(self, path: Path, *, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Write a kubeconfig for a user whom the cluster knows by certificate; return its path."""
        content = kubeconfig.kubeconfig(
            server=self.server,
            cluster=self.name,
            authority=self.authority.pair.certificate.read_bytes(),
            client=self.authority.client(path.name, user=user, groups=groups),
        )
        return kubeconfig.write(path, content)

    def _program(self, name: str, argv: list[str]) -> Program:
        return Program(name, argv, self.directory, outlives_us=self.outlives_us)

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if network.claimed(self.directory) is None:
            # The first start, or the host was started anew and addresses may be others now.
            self._forget(but=("logs", "owner", "wish.json"))
        for name in self._component_names():
            binary(name)
        self._write_kubeconfigs()
        kwok.write_config(self.directory / "kwok.yaml")

    def _forget(self, *, but: tuple[str, ...]) -> None:
        for entry in self.directory.glob("*"):
            if entry.name in but:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _component_names(self, *, every: bool = False) -> list[Component]:
        names: list[Component] = [
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        ]
        return [*names, "kwok"] if self.with_kwok or every else names

    def _write_kubeconfigs(self) -> None:
        self.write_kubeconfig(self.kubeconfig, user="admin", groups=("system:masters",))
        for user in ("kube-controller-manager", "kube-scheduler"):
            self.write_kubeconfig(self._client_file(user), user=f"system:{user}")
        self.write_kubeconfig(self._client_file("kwok"), user="kwok", groups=("system:masters",))

    def _client_file(self, user: str) -> Path:
        return self.directory / "kubeconfigs" / user

    def _commands(self) -> dict[Component, list[str]]:
        return {
            "etcd": self._etcd(),
            "kube-apiserver": self._apiserver(),
            "kube-controller-manager": self._controller_manager(),
            "kube-scheduler": self._scheduler(),
            "kwok": kwok.command(
                binary("kwok"),
                kubeconfig=self._client_file("kwok"),
                config=self.directory / "kwok.yaml",
                addresses=self.addresses,
            ),
        }

    def _etcd(self) -> list[str]:
        clients, peers = (f"http://{self.addresses.loopback}:{port}" for port in (2379, 2380))
        return [
            str(binary("etcd")),
            f"--data-dir={self.directory / 'etcd'}",
            "--unsafe-no-fsync",  # what a power failure would lose here, nobody misses
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        addresses, pki = self.addresses, self.authority
        serving = pki.server("kube-apiserver", hosts=_api_names(addresses))
        kubelets = pki.client("kubelet-client", user="kubelet-client", groups=("system:masters",))
        tokens = pki.bare_key("service-account")
        return [
            str(binary("kube-apiserver")),
            f"--etcd-servers=http://{addresses.loopback}:2379",
            f"--bind-address={addresses.host}",
            f"--advertise-address={addresses.host}",
            f"--secure-port={API_PORT}",
            f"--client-ca-file={pki.pair.certificate}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--kubelet-client-certificate={kubelets.certificate}",
            f"--kubelet-client-key={kubelets.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-cluster-ip-range={addresses.services}",
            f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            # Without it, every open watch delays the end by a minute.
            "--shutdown-watch-termination-grace-period=2s",
            "--profiling=false",
        ]

    def _controller_manager(self) -> list[str]:
        pki = self.authority
        return [
            str(binary("kube-controller-manager")),
            *self._client_flags("kube-controller-manager", port=10257),
            f"--root-ca-file={pki.pair.certificate}",
            f"--cluster-signing-cert-file={pki.pair.certificate}",
            f"--cluster-signing-key-file={pki.pair.key}",
            f"--service-account-private-key-file={pki.bare_key('service-account').key}",
            "--use-service-account-credentials=true",
            "--enable-hostpath-provisioner=true",
            *_GENEROUS,
        ]

    def _scheduler(self) -> list[str]:
        return [
            str(binary("kube-scheduler")),
            *self._client_flags("kube-scheduler", port=10259),
            *_GENEROUS,
        ]

    def _client_flags(self, name: str, *, port: int) -> list[str]:
        file = self._client_file(name)
        serving = self.authority.server(f"{name}-serving", hosts=[self.addresses.loopback])
        return [
            f"--kubeconfig={file}",
            f"--authentication-kubeconfig={file}",
            f"--authorization-kubeconfig={file}",
            f"--bind-address={self.addresses.loopback}",
            f"--secure-port={port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            "--leader-elect=false",
            "--profiling=false",
        ]


def _api_names(addresses: Addresses) -> list[str]:
    first_service = str(addresses.services[1])
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    qualified = f"kubernetes.default.svc.{DNS_DOMAIN}"
    return [addresses.host, first_service, "127.0.0.1", "localhost", *names, qualified]
