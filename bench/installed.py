# SPDX-License-Identifier: Apache-2.0
"""MT5 Bridge on a real node, and accounts on it: what P11 and P12 are measured on."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cluster import state
from cluster.backends import node_backend
from cluster.kubectl import Kubectl, Manifest
from cluster.waiting import wait_for
from demo import images
from demo.installation import NAMESPACE, NODE_PORT, Installation, create_key, install, node_address

READY_TIMEOUT_S: Final = 240
GONE_TIMEOUT_S: Final = 240
ANSWER_TIMEOUT_S: Final = 120
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
        self.kubectl: Kubectl = installation.kubectl.within(name)
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
        self.kubectl.apply(*(each for login in logins for each in _account(login)))
        timeout = f"--timeout={READY_TIMEOUT_S}s"
        self.kubectl(
            "wait", "--for=condition=Ready", timeout, *names, timeout_s=READY_TIMEOUT_S + 10
        )
        return time.perf_counter() - began_s

    def cpu_s(self, container: str) -> float:
        """Return the time that one container of each account has spent on cores since its start."""
        pods = [f"account-{account_id}-a-0" for account_id in self.ids]
        return sum(_cpu_s(self.kubectl, pod, container) for pod in pods)

    def end(self) -> None:
        """Delete all accounts, and wait until their pods are gone: the next begin undisturbed."""
        timeout = f"--timeout={GONE_TIMEOUT_S}s"
        for kind in ("mt5accounts", "pods"):
            self.kubectl("delete", kind, "--all", timeout, timeout_s=GONE_TIMEOUT_S + 10)
        self.ids.clear()


def first_answer_s(installation: Installation, account_id: str, key: str) -> float:
    """Wait until a key opens an account through the router; return when, in Unix seconds."""
    url = f"{installation.url}/accounts/{account_id}/api/account"
    request = urllib.request.Request(url, headers={"X-API-Key": key})  # noqa: S310 - our own

    def answered() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False

    wait_for(answered, what=f"a 200 of {url}", timeout_s=ANSWER_TIMEOUT_S, interval_s=0.02)
    return time.time()


def routers_cpu_s(installation: Installation) -> float:
    """Return the time that the routers have spent on cores since their start."""
    pods = installation.system.list("pod", selector="app.kubernetes.io/component=router")
    names = [pod["metadata"]["name"] for pod in pods]
    return sum(_cpu_s(installation.system, name, "router") for name in names)


def _cpu_s(kubectl: Kubectl, pod: str, container: str) -> float:
    # With what ended in there, too. Cgroups of version 1 tell nanoseconds, version 2 microseconds.
    group = "/sys/fs/cgroup"
    script = f"cat {group}/cpuacct/cpuacct.usage || grep usage_usec {group}/cpu.stat"
    *old, told = kubectl.exec(pod, ["sh", "-c", script], container=container).split()
    return int(told) / (1e6 if old else 1e9)


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
