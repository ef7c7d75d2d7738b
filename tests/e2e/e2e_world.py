# SPDX-License-Identifier: Apache-2.0
"""What the e2e tests say to an installation, in words of the domain.

A `World` is one namespace of accounts in one installation of MT5 Bridge on a real node. Everything
in it goes through kubectl and through the router, as a user's requests do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl, Manifest
from cluster.waiting import wait_for
from demo.installation import RELEASE, Installation, wait_for_rollout
from demo.installation import SAMPLES as SAMPLES_DIRECTORY

SAMPLES = SAMPLES_DIRECTORY / "accounts.yaml"
# Logins never repeat in a test run: an account id is unique across the installation.
_LOGINS = itertools.count(20001)
# What an account needs from apply to Ready, pod included, on two busy cores.
READY_S = 60.0
# From a new pod to a trade: a new journal first lets the terminal's history settle (28 s).
TRADES_S = 120.0
BUY = MappingProxyType({"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"})
_ANY_PASSWORD = MappingProxyType({"password": "any"})
_FIND = """
import os, signal, sys
for pid in filter(str.isdigit, os.listdir('/proc')):
    try: words = open(f'/proc/{pid}/cmdline').read().split(chr(0))
    except OSError: continue
    if sys.argv[1] in words and int(pid) != os.getpid():
        print(pid)
        if sys.argv[2] == 'kill': os.kill(int(pid), signal.SIGKILL)
"""
# No signal from inside reaches a container's first process: the kernel drops even SIGKILL. But it
# ends by itself, at once, one that has used up its time; so give the sidecar a second, and work.
_CRASH = """
import http.client, resource
resource.prlimit(1, resource.RLIMIT_CPU, (1, 1))
ops = http.client.HTTPConnection('127.0.0.1', 8081)
while True:
    ops.request('GET', '/metrics')
    ops.getresponse().read()
"""


class Answer(NamedTuple):
    """What the router answered."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Account:
    """An account that a test applied."""

    name: str
    id: str
    login: int
    secret: str
    manifest: Manifest


@dataclass
class World:
    """A namespace of accounts, and the installation that serves it."""

    installation: Installation
    namespace: str

    @property
    def kubectl(self) -> Kubectl:
        """Return kubectl in this world's namespace."""
        return self.installation.kubectl.within(self.namespace)

    @property
    def system(self) -> Kubectl:
        """Return kubectl in the installation's own namespace."""
        return self.installation.system

    @property
    def key(self) -> str:
        """Return an API key that opens every account."""
        return self.installation.key

    @property
    def ws_url(self) -> str:
        """Return the router's address for WebSockets."""
        return self.installation.url.replace("http", "ws", 1)

    # -- accounts ------------------------------------------------------------------------------

    def manifest(self, *, server: str = "Simulator-Demo", account_id: str = "") -> Manifest:
        """Return a good manifest of an account that no other test uses."""
        login = next(_LOGINS)
        spec: dict[str, Any] = {
            "login": login,
            "server": server,
            "credentialsSecretRef": {"name": f"mt5-{login}", "key": "password"},
            "symbols": ["EURUSD", "XAUUSD"],
        }
        if account_id:
            spec["accountId"] = account_id
        return {
            "apiVersion": "mt5bridge.io/v1alpha1",
            "kind": "MT5Account",
            "metadata": {"name": f"account-{login}"},
            "spec": spec,
        }

    def apply_account(
        self,
        *,
        server: str = "Simulator-Demo",
        account_id: str = "",
        secret: Mapping[str, str] | None = _ANY_PASSWORD,
        trading: bool = False,
        storage: bool = False,
    ) -> Account:
        """Apply an account and, unless it is None, its Secret; `storage` gives it a volume."""
        manifest = self.manifest(server=server, account_id=account_id)
        manifest["spec"]["trading"] = {"enabled": trading}
        manifest["spec"] |= {"storage": {"size": "1Gi"}} if storage else {}
        login = manifest["spec"]["login"]
        account = Account(
            name=manifest["metadata"]["name"],
            id=account_id or str(login),
            login=login,
            secret=f"mt5-{login}",
            manifest=manifest,
        )
        if secret is not None:
            self.secret(account.secret, secret)
        self.kubectl.apply(manifest)
        return account

    def ready_account(
        self, *, server: str = "Simulator-Demo", trading: bool = False, storage: bool = False
    ) -> Account:
        """Return a new account that is Ready and answers through the router."""
        account = self.apply_account(server=server, trading=trading, storage=storage)
        self.wait_ready(account.name)
        self.until(
            lambda: self.get(f"/accounts/{account.id}/api/account").status == 200, "its first 200"
        )
        return account

    def secret(self, name: str, data: Mapping[str, str] | None = None) -> None:
        """Create or change a Secret."""
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "stringData": dict(data or {"password": "any"}),
            }
        )

    def account(self, name: str) -> Manifest:
        """Return the MT5Account as it is now."""
        found = self.kubectl.get("mt5account", name)
        assert found is not None, f"no MT5Account {name}"
        return found

    def wait_ready(self, name: str, *, timeout_s: float = READY_S) -> Manifest:
        """Wait until the account's condition Ready is true for its present generation."""
        return self.kubectl.wait_for("mt5account", name, _is_ready, timeout_s=timeout_s)

    def wait_reason(self, name: str, reason: str, *, timeout_s: float = READY_S) -> Manifest:
        """Return the account's Ready condition as soon as it is false for `reason`."""
        found = self.kubectl.wait_for(
            "mt5account",
            name,
            lambda seen: _ready(seen).get("reason") == reason,
            timeout_s=timeout_s,
            what=f"mt5account/{name} to say {reason}",
        )
        return _ready(found)

    def wait_reason_gone(self, name: str, reason: str, *, timeout_s: float) -> None:
        """Wait until the account's Ready condition names something else than `reason`."""
        self.kubectl.wait_for(
            "mt5account",
            name,
            lambda seen: _ready(seen).get("reason") != reason,
            timeout_s=timeout_s,
        )

    def settled(self, name: str) -> Manifest:
        """Return the account once it has not been written for two of the operator's looks."""
        seen: list[tuple[float, str]] = []

        def look() -> Manifest | None:
            found = self.account(name)
            version = found["metadata"]["resourceVersion"]
            if not seen or seen[-1][1] != version:
                seen.append((time.monotonic(), version))
            return found if time.monotonic() - seen[-1][0] > 3 else None

        return wait_for(look, what=f"{name} to settle", timeout_s=30)

    # -- requests ------------------------------------------------------------------------------

    def get(self, path: str, *, key: str | None = None) -> Answer:
        """GET from the router; an error status is an answer too."""
        return self.request("GET", path, key=key)

    def request(
        self, method: str, path: str, *, key: str | None = None, body: Any = None, **headers: str
    ) -> Answer:
        """Ask the router; a header's name is given with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(  # noqa: S310 - our own http address
            self.installation.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": key or self.key, "Content-Type": "application/json"} | sent,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
                return Answer(reply.status, dict(reply.headers), reply.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())

    def new_key(self, key_id: str, *, accounts: list[str], opens: Account) -> str:
        """Create a key for `accounts` and wait until `opens` knows it."""
        key = self.installation.create_key(key_id, accounts=accounts, scopes=["read"])
        path = f"/accounts/{opens.id}/api/account"
        self.until(
            lambda: self.get(path, key=key).status == 200, f"key {key_id} to open {opens.id}"
        )
        return key

    def until(self, look: Callable[[], Any], what: str, *, timeout_s: float = 30) -> Any:
        """Wait until `look` answers with something."""
        return wait_for(lambda: look() or None, what=what, timeout_s=timeout_s)

    # -- trades --------------------------------------------------------------------------------

    def order(self, account: Account, key: str, **change: object) -> Answer:
        """Send an order, once."""
        path = f"/accounts/{account.id}/api/order"
        return self.request("POST", path, body={**BUY, **change}, Idempotency_Key=key)

    def insist(self, account: Account, key: str, **change: object) -> dict[str, Any]:
        """Send an order as a client should: with the same key until its end is told."""

        def ended() -> dict[str, Any] | None:
            answer = self.order(account, key, **change)
            return json.loads(answer.body) if answer.status == 200 else None

        found: dict[str, Any] = self.until(ended, f"the end of {key}", timeout_s=TRADES_S)
        return found

    def bought(self, account: Account, volume: float = 0.10) -> list[int]:
        """Return the orders by which the bridge opened a position of a size.

        From the terminal's own history and not from a snapshot, which follows some time later.
        """
        answer = self.get(f"/accounts/{account.id}/api/history?days=1")
        assert answer.status == 200, answer.body
        deals = json.loads(answer.body)["deals"]
        ours = [each for each in deals if each["comment"].startswith("mt5b-")]
        return [each["order"] for each in ours if (each["volume"], each["entry"]) == (volume, 0)]

    def book(self, account: Account) -> dict[str, Any]:
        """Return what the simulated broker itself has of an account: no journal of ours."""
        server = account.manifest["spec"]["server"]
        show = ["--show", server, str(account.login)]
        words = ["python3", "-m", "mt5_simulator.keeper", *show]
        found: dict[str, Any] = json.loads(
            self.system.exec(f"deployment/{RELEASE}-simulated-broker", words)
        )
        return found

    def trader(self, *, server: str = "Simulator-Demo", storage: bool = False) -> Account:
        """Return a new account whose new journal has settled, so that it trades at once."""
        account = self.ready_account(server=server, trading=True, storage=storage)
        self.insist(account, "first", volume="0.01")
        return account

    # -- parts ---------------------------------------------------------------------------------

    def wait_container_running(self, name: str) -> None:
        """Wait until the account's terminal container runs."""
        self.kubectl.wait_for("pod", f"{name}-a-0", _terminal_runs, timeout_s=READY_S)

    def restarts(self, pod: str) -> int:
        """Return how often containers of a pod were restarted."""
        found = self.kubectl.get("pod", pod)
        assert found is not None, f"no pod {pod}"
        status = found["status"]
        every = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return sum(int(each["restartCount"]) for each in every)

    def processes_in_pod(self, pod: str, container: str, module: str) -> set[str]:
        """Return the ids of the processes in a container that run a Python module."""
        return self._find(pod, container, module, "look")

    def kill_in_pod(self, pod: str, container: str, module: str) -> set[str]:
        """Kill (SIGKILL) the processes in a container that run a module; return their ids.

        Not its first process: see `crash_sidecar`.
        """
        return self._find(pod, container, module, "kill")

    def crash_sidecar(self, account: Account) -> None:
        """Let the kernel kill (SIGKILL) the sidecar, and wait until its container runs again."""
        pod = f"{account.name}-a-0"
        before = self.restarts(pod)
        with contextlib.suppress(CommandFailed):  # the command dies with its container
            self.kubectl.exec(pod, ["python3", "-c", _CRASH], container="sidecar")
        self.until(lambda: self.restarts(pod) > before, "the sidecar's next life")

    def _find(self, pod: str, container: str, module: str, verb: str) -> set[str]:
        command = ["python3", "-c", _FIND, module, verb]
        return set(self.kubectl.exec(pod, command, container=container).split())

    def redis(self, *command: str) -> str:
        """Run a Redis command in the bundled Redis and return its answer."""
        return self.installation.redis(*command)

    def route_in_config_maps(self, account: Account) -> dict[str, Any] | None:
        """Return the route with an address that the ConfigMaps hold for an account."""
        label = "app.kubernetes.io/component=routes"
        found = json.loads(self.system("get", "configmaps", "--selector", label, "--output=json"))
        shards = [json.loads(each["data"]["routes.json"])["routes"] for each in found["items"]]
        routes = [shard[account.id] for shard in shards if account.id in shard]
        return next((route for route in routes if route["address"]), None)

    @contextmanager
    def redis_away(self) -> Iterator[None]:
        """Take the bundled Redis away, and bring it back empty."""
        self.installation.scale("redis", 0)
        try:
            yield
        finally:
            self.installation.scale("redis", 1)

    def restart_router(self) -> None:
        """Start the router anew and wait until it serves."""
        self.installation.restart("router")

    @contextmanager
    def operators_with(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Let the operators run with further settings, and without them again."""
        self._set_operators_env(*(f"{name}={value}" for name, value in settings.items()))
        try:
            yield
        finally:
            self._set_operators_env(*(f"{name}-" for name in settings))

    def _set_operators_env(self, *words: str) -> None:
        self.system("set", "env", f"deployment/{RELEASE}-operator", *words)
        wait_for_rollout(self.system, "operator")

    def operators_metric(self, name: str) -> float:
        """Return a metric, summed over all operators; `name` may end in labels."""
        selector = "app.kubernetes.io/component=operator"
        addresses = [
            pod["status"]["podIP"]
            for pod in self.system.list("pod", selector=selector)
            if "deletionTimestamp" not in pod["metadata"]
        ]
        return sum(_metric(f"http://{address}:8080/metrics", name) for address in addresses)

    def kill_operators(self) -> None:
        """Delete every operator pod at once, without grace."""
        selector = "app.kubernetes.io/component=operator"
        self.system("delete", "pod", "--selector", selector, "--grace-period=0", "--force")

    def everything_said(self, account: Account) -> Iterator[tuple[str, str]]:
        """Yield each place that people or programs can read without reading Secrets."""
        kinds = "mt5accounts,pods,statefulsets,configmaps,events,services,persistentvolumeclaims"
        for kubectl in (self.kubectl, self.system):
            yield f"objects in {kubectl.namespace}", kubectl("get", kinds, "--output=yaml")
        pod = f"{account.name}-a-0"
        for container in ("sidecar", "terminal"):
            yield f"log of {container}", self.kubectl.logs(pod, "--container", container)
            for file in ("cmdline", "environ"):
                yield f"{file} in {container}", self._every_proc_file(pod, container, file)
        for part in ("operator", "router"):
            selector = f"app.kubernetes.io/component={part}"
            yield f"log of {part}", self.system("logs", "--selector", selector, "--tail=-1")
        for path in ("status", "health", "account"):
            yield path, self.get(f"/accounts/{account.id}/api/{path}").body

    def _every_proc_file(self, pod: str, container: str, file: str) -> str:
        script = f"import glob; print([open(f).read() for f in glob.glob('/proc/[0-9]*/{file}')])"
        return self.kubectl.exec(pod, ["python3", "-c", script], container=container)


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - our own http address
        lines = reply.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def _ready(account: Mapping[str, Any]) -> dict[str, Any]:
    conditions = account.get("status", {}).get("conditions", [])
    return next((dict(each) for each in conditions if each["type"] == "Ready"), {})


def _is_ready(account: Mapping[str, Any]) -> bool:
    ready = _ready(account)
    generation = account["metadata"]["generation"]
    return ready.get("status") == "True" and ready.get("observedGeneration") == generation


def _terminal_runs(pod: Mapping[str, Any]) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any(each["name"] == "terminal" and "running" in each["state"] for each in statuses)
