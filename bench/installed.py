# SPDX-License-Identifier: Apache-2.0
"""MT5 Bridge on a real node, and accounts on it: what P11 and P12 are measured on."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cluster import state
from cluster.backends import node_backend
from cluster.kubectl import Kubectl, Manifest
from demo import images
from demo.installation import NAMESPACE, NODE_PORT, Installation, create_key, install, node_address

READY_TIMEOUT_S: Final = 240
GONE_TIMEOUT_S: Final = 240
_FIRST_LOGIN: Final = 30_000


@contextmanager
def installed() -> Iterator[Installation]:
    """Give an installation on a cluster of our own, or on what `CLUSTER` says, as the tests do."""
    place = state.directory(f"bench-{os.getpid()}")
    state.own(place)
    cluster = node_backend(os.environ.get("CLUSTER", ""), place)
    try:
        cluster.start()
        install(cluster, images.build(), shared_broker=False)
        system = cluster.kubectl.within(NAMESPACE)
        key = create_key(system, "bench", accounts=["*"], scopes=["read"])
        url = f"http://{node_address(cluster.kubectl)}:{NODE_PORT}"
        yield Installation(cluster.kubectl, url, key)
    finally:
        cluster.stop()


class Fleet:
    """Accounts on the simulator, in a namespace of their own."""

    def __init__(self, installation: Installation) -> None:
        name = f"bench-{os.getpid()}"
        self._kubectl: Kubectl = installation.kubectl.within(name)
        installation.kubectl.apply(_object("Namespace", name))
        self._next = _FIRST_LOGIN
        self.ids: list[str] = []

    def start(self, count: int) -> float:
        """Apply accounts at once, and return how many seconds later all were Ready."""
        logins = range(self._next, self._next + count)
        self._next += count
        self.ids += [str(login) for login in logins]
        names = [f"mt5account/account-{login}" for login in logins]
        began_s = time.perf_counter()
        self._kubectl.apply(*(each for login in logins for each in _account(login)))
        timeout = f"--timeout={READY_TIMEOUT_S}s"
        self._kubectl(
            "wait", "--for=condition=Ready", timeout, *names, timeout_s=READY_TIMEOUT_S + 10
        )
        return time.perf_counter() - began_s

    def sidecars_cpu_s(self) -> float:
        """Return the time that the sidecars have spent on cores since their start."""
        pods = [f"account-{account_id}-a-0" for account_id in self.ids]
        return sum(_cpu_s(self._kubectl, pod, "sidecar") for pod in pods)

    def end(self) -> None:
        """Delete all accounts, and wait until their pods are gone: the next begin undisturbed."""
        timeout = f"--timeout={GONE_TIMEOUT_S}s"
        for kind in ("mt5accounts", "pods"):
            self._kubectl("delete", kind, "--all", timeout, timeout_s=GONE_TIMEOUT_S + 10)
        self.ids.clear()


def routers_cpu_s(installation: Installation) -> float:
    """Return the time that the routers have spent on cores since their start."""
    pods = installation.system.list("pod", selector="app.kubernetes.io/component=router")
    names = [pod["metadata"]["name"] for pod in pods]
    return sum(_cpu_s(installation.system, name, "router") for name in names)


def _cpu_s(kubectl: Kubectl, pod: str, container: str) -> float:
    # Source: Documentation/scheduler/sched-stats.rst: nanoseconds on a core, of each thread.
    words = ["sh", "-c", "cat /proc/[0-9]*/task/*/schedstat"]
    lines = kubectl.exec(pod, words, container=container).splitlines()
    return sum(int(line.split()[0]) for line in lines) / 1e9


def _account(login: int) -> tuple[Manifest, Manifest]:
    secret = _object("Secret", f"mt5-{login}") | {"stringData": {"password": "any"}}
    account = _object("MT5Account", f"account-{login}", version="mt5bridge.io/v1alpha1") | {
        "spec": {
            "login": login,
            "server": "Simulator-Demo",
            "credentialsSecretRef": {"name": f"mt5-{login}", "key": "password"},
            "symbols": ["EURUSD", "XAUUSD"],
        }
    }
    return secret, account


def _object(kind: str, name: str, *, version: str = "v1") -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
