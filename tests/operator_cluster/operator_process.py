# SPDX-License-Identifier: Apache-2.0
"""The operator as the process that it is in production, with short times."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Final, Protocol

from cluster.command import environment_without_proxies
from cluster.contained import DIES_WITH_US
from cluster.paths import REPOSITORY
from cluster.ports import free_port
from cluster.waiting import wait_for
from operator_cluster.circumstances import RUNNING, words

# Where another replica is to take over. Elsewhere the Lease lasts as long as in production: on a
# machine that is busy for seconds, a leader that has no more gives up, as it should.
QUICK_LEASE: Final = {"lease_duration_s": 5, "lease_renew_deadline_s": 4}


class Operator:
    """One replica. `name` tells replicas of one installation apart."""

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        *,
        redis_url: str,
        sidecar: str,
        name: str = "operator-0",
        **settings: object,
    ) -> None:
        self.port = free_port()
        self.name = name
        self.log = Path(tempfile.gettempdir()) / f"mt5-operator-{os.getpid()}-{self.port}.log"
        told = {
            "namespace": namespace,
            "namespaces": json.dumps([namespace]),
            "pod_name": name,
            "ops_host": "127.0.0.1",
            "ops_port": self.port,
            "redis_url": redis_url,
            "sidecar_address_override": sidecar,
            "lease_retry_s": 1,
            "watch_audit_s": 2,
            "redis_check_s": 0.5,
            "sidecar_poll_connected_s": 2,
            # A fake node's pods run nowhere: who is deleted by force need not be waited for long.
            "vanished_pod_wait_s": 1,
            "simulator_termination_grace_s": 2,
        } | settings
        self._env = environment_without_proxies() | {
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            **{f"MT5_OPERATOR_{key.upper()}": str(value) for key, value in told.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, until its caches are warm."""
        words = ("-W", "error::RuntimeWarning")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*DIES_WITH_US, sys.executable, *words, "-m", "mt5_operator"],
                env=self._env,
                stdout=log,
                stderr=log,
            )
        if self not in RUNNING:
            RUNNING.append(self)
        if wait:
            wait_for(
                lambda: self.answers("/readyz") == 200,
                what="the operator to be ready",
                timeout_s=20,
                interval_s=0.05,
                hint=self.last_words,
            )

    def lead(self) -> None:
        """Start it and wait until it leads."""
        self.start()
        wait_for(self.leads, what="the operator to lead", timeout_s=20, hint=self.last_words)

    def leads(self) -> bool:
        """Tell whether it leads."""
        return self.metric("mt5_operator_is_leader") == 1

    def stop(self) -> int | None:
        """End it as the kubelet does; return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def revive(self) -> None:
        """Start it again if it has ended by itself, as the kubelet does."""
        if self.exit_code() is not None:
            self.kill()
            self.start(wait=False)

    def crash(self) -> None:
        """End it without waiting for its end, as from another thread; `kill` tidies up."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang."""
        self._signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def exit_code(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int:
        """Return its process id; it must run."""
        assert self._process is not None
        return self._process.pid

    def answers(self, path: str) -> int:
        """Return the status code of a path of its ops port; 0 for no answer."""
        return self._get(path)[0]

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's values over all other labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in self._get("/metrics")[1].splitlines() if line.startswith(name)]
        fits = [line for line in lines if all(want in line for want in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in fits)

    def writes(self) -> float:
        """Return how many requests other than GET, and other than for its Lease, it made."""
        return self.written().total()

    def written(self) -> Counter[str]:
        """Return the same by verb, kind and answer."""
        found: Counter[str] = Counter()
        for line in self.writes_by_kind():
            labels, _, count = line.rpartition(" ")
            if 'kind="Lease"' not in labels:
                found[" ".join(re.findall(r'"([^"]*)"', labels))] += int(float(count))
        return found

    def writes_by_kind(self) -> list[str]:
        """Return the counters of its requests, to explain a count."""
        lines = self._get("/metrics")[1].splitlines()
        ours = [line for line in lines if line.startswith("mt5_operator_api_requests_total{")]
        return [line for line in ours if 'verb="GET"' not in line]

    def circumstances(self) -> str:
        """Return what it is busy with, to explain what it did not do in time."""
        state = "runs" if self.exit_code() is None else f"ended with {self.exit_code()}"
        results = ("done", "failed", "gone")
        counts = {
            "leads": self.leads(),
            "queue": self.metric("mt5_operator_queue_depth"),
            **{one: self.metric("mt5_operator_reconciles_total", result=one) for one in results},
            "reconcile_s": round(self.metric("mt5_operator_reconcile_seconds_sum"), 2),
            "redis": self.metric("mt5_operator_route_store_up"),
        }
        told = " ".join(f"{name}={value}" for name, value in counts.items())
        return f"{self.name} {state}: {told}; its log ends:\n{self.last_words()}"

    def last_words(self) -> str:
        """Return how its log ends."""
        return self.log.read_text()[-2000:] if self.log.exists() else ""

    def _get(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return 0, ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            os.kill(self._process.pid, number)

    def _end(self, number: signal.Signals) -> int | None:
        if self._process is None:
            return None
        RUNNING.remove(self)
        self._process.send_signal(number)
        try:
            code = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code


class MakeOperator(Protocol):
    """Makes an operator with these settings, which is stopped after the test."""

    def __call__(self, kubeconfig: Path | None = None, /, **settings: object) -> Operator:
        """Return it, not started; by default it speaks to the API server itself."""


def eventually(claim: object, *, timeout_s: float = 10, what: str = "it") -> None:
    """Wait until `claim()` is true; a failure says what the operators are doing."""
    wait_for(claim, what=what, timeout_s=timeout_s, interval_s=0.1, hint=words)  # type: ignore[arg-type]


def steady(look: object, *, for_s: float) -> bool:
    """Tell whether `look()` stays the same for a while: the proof of an absence needs time."""
    before, until = look(), time.monotonic() + for_s  # type: ignore[operator]
    while time.monotonic() < until:
        time.sleep(0.1)
        if look() != before:  # type: ignore[operator]
            return False
    return True
