# SPDX-License-Identifier: Apache-2.0
"""P10: the operator on a real API server with fake nodes, at the size that is asked for.

`python -m bench.operator_scale --accounts 500 --nodes 50`; 5,000 on 500 is the full form. It is not
a part of `make bench`: it takes minutes, and API server, controllers and scheduler run beside it on
the same cores. So rates are the whole machine's; CPU and memory are the operator's own.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from kubernetes.aio.config import kube_config

from bench import report
from bench.operator_seen import (
    Count,
    Written,
    busy_s,
    config_maps_written,
    cpu_used_s,
    peak_mb,
    rss_mb,
    shares_of_cores,
    until_idle,
    until_quiet,
)
from cluster import packages
from cluster.control_plane import ControlPlane
from cluster.fixtures import fresh_control_plane
from cluster.paths import REPOSITORY
from mt5_operator.cluster.api import HttpApi
from mt5_operator.cluster.credentials import load
from mt5_operator.cluster.kinds import ACCOUNT, SECRET, Kind
from mt5_operator.names import Key
from operator_cluster.manifests import account, secret
from operator_cluster.operator_process import Operator
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub

PAGE: Final = REPOSITORY / "docs" / "benchmarks-operator.md"
NAMESPACE: Final = Kind("Namespace", "v1", "namespaces", namespaced=False)
SYSTEM: Final = "mt5-system"
ROUTE_CHANGES: Final = 30
# A look at /metrics costs the operator some 5 ms, which count as its own.
_LOOK_S: Final = 0.1
PAGE_TEXT: Final = """# The operator at scale (P10)

Written by `python -m bench.operator_scale --accounts {accounts} --nodes {nodes}`; do not edit.
Measured {date} on {machine}; load average {loads}.

{accounts:,} accounts in {namespaces} namespaces on {nodes} fake nodes (KWOK). API server, etcd,
controller manager, scheduler, KWOK, Redis, the stub of all sidecars and the measuring program run
on the same cores, with whatever else the machine does: its load says how much. So rates and times
are the whole machine's and would be better anywhere else; writes, CPU and memory are the
operator's own. What bounds the cold start is in two rows: who had the CPU, and how many writes the
API server answers for an account, of which the operator's are a part. Each account has a Secret of
its own; none is read in a resync, they are read one by one meanwhile (docs/adr/087). The longest
answer of /metrics says for how long the operator's loop ran nothing else, its Lease included.

| what | found | target |
|---|---|---|
{table}"""

Row = tuple[str, str, str]


class Scale:
    """One run; each phase leaves the cluster as the next one wants it."""

    def __init__(self, words: argparse.Namespace, plane: ControlPlane) -> None:
        self.words, self.plane = words, plane
        self.redis, self.sidecars = RedisServer(), SidecarStub()
        self.rows: list[Row] = []
        self.keys = [
            Key(f"bench-{number % words.namespaces}", f"a{number}")
            for number in range(words.accounts)
        ]

    def operator(self, name: str, **settings: object) -> Operator:
        return Operator(
            self.plane.kubeconfig,
            SYSTEM,
            redis_url=self.redis.url,
            sidecar=self.sidecars.address,
            name=name,
            **{
                "namespaces": "[]",
                "lease_duration_s": 15,
                "lease_renew_deadline_s": 10,
                "lease_retry_s": 2,
                "watch_audit_s": 60,
                "sidecar_poll_connected_s": 60,
                "resync_s": self.words.resync_s,
                "log_level": "DEBUG",  # what of a status was written
                **settings,
            },
        )

    async def run(self) -> None:
        self.redis.start()
        self.sidecars.start()
        # The client read where its configuration is when it was imported.
        kube_config.KUBE_CONFIG_DEFAULT_LOCATION = str(self.plane.kubeconfig)
        async with HttpApi(await load(), timeout_s=60, connections=16) as api:
            await self._fill(api)
            leader = self.operator("operator-0")
            standby = self.operator("operator-1")
            try:
                await self._cold_start(leader)
                await self._resync(leader)
                await self._burst(api, leader)
                await self._routes(api)
                await self._failover(leader, standby)
            finally:
                leader.stop()
                standby.stop()
                self.sidecars.stop()
                self.redis.stop()
                self.redis.forget()

    async def _fill(self, api: HttpApi) -> None:
        names = sorted({SYSTEM, *(key.namespace for key in self.keys)})
        await _together(api.create(NAMESPACE, {"metadata": {"name": name}}) for name in names)
        await _together(api.create(SECRET, _placed(secret(), key)) for key in self.keys)
        await _together(
            api.create(ACCOUNT, _placed(_with_its_secret(number + 1, key), key))
            for number, key in enumerate(self.keys)
        )

    async def _cold_start(self, leader: Operator) -> None:
        began, busy, writes = time.monotonic(), busy_s(), self._all_writes()
        leader.start(wait=False)
        await _until(
            lambda: leader.exit_code() is not None or self._routed() == len(self.keys),
            timeout_s=self.words.timeout_s,
            pause_s=0.5,
        )
        if leader.exit_code() is not None:
            raise RuntimeError(f"the operator ended, too little CPU?\n{leader.last_words()}")
        took_s = time.monotonic() - began
        shares, writes = shares_of_cores(busy, busy_s(), took_s), self._all_writes() - writes
        await until_quiet(leader)
        number = len(self.keys)
        self._tell("cold start: until every account is routed", f"{took_s:.0f} s")
        self._tell("accounts a second, all controllers together", f"{number / took_s:.0f} /s")
        self._tell("who had the CPU meanwhile, of all cores", shares)
        self._tell("API writes of the operator an account", f"{leader.writes() / number:.2f}", "8")
        self._tell("API writes of all programs an account, Leases aside", f"{writes / number:.1f}")
        done = leader.metric("mt5_operator_reconciles_total")
        cpu = cpu_used_s(leader) / number * 1000
        self._tell("reconciles an account", f"{done / number:.1f}")
        self._tell("CPU of the operator an account, all in all", f"{cpu:.1f} ms")

    async def _resync(self, leader: Operator) -> None:
        await until_quiet(leader)
        await until_idle(leader)
        told = Written(leader)
        before, number = Count(leader), len(self.keys)
        # Its middle: a few accounts are looked at between resyncs as well. From the last look
        # before it to the first one after, so the rate is at least this, and CPU at most.
        first, _, slow = await self._done(leader, before.done + number * 0.2)
        _, last, slower = await self._done(leader, before.done + number * 0.9)
        rate = (last.done - first.done) / max(last.at - first.at, 0.001)
        cpu = (last.cpu_s - first.cpu_s) / (last.done - first.done) * 1000
        self._tell("no-op resync: reconciles a second", f"{rate:.0f} /s", ">= 400")
        self._tell("no-op resync: CPU a reconcile", f"{cpu:.2f} ms", "<= 2")
        self._tell("no-op resync: Secrets read meanwhile", f"{last.secrets - first.secrets:.0f}")
        self._tell("no-op resync: longest answer of /metrics", f"{max(slow, slower) * 1000:.0f} ms")
        # What it does besides: looks at sidecars once a minute, audits of its caches, Secrets.
        await until_quiet(leader)
        idle = Count(leader)
        await asyncio.sleep(self.words.resync_s / 2)
        now = Count(leader)
        share = (now.cpu_s - idle.cpu_s) / (now.at - idle.at)
        self._tell("between two resyncs: CPU of the operator", f"{share:.0%} of a core")
        read = (now.secrets - idle.secrets) / (now.at - idle.at)
        self._tell("between two resyncs: Secrets read", f"{read:.1f} /s")
        self._tell("no-op resync, and all of the above: writes", told.since(), "0")
        self._tell("memory of the leader", f"{rss_mb(leader):.0f} MB", "<= 250 at 5,000")
        self._tell("the most that it ever had", f"{peak_mb(leader):.0f} MB")

    async def _done(self, leader: Operator, count: float) -> tuple[Count, Count, float]:
        """Return the last look before so many reconciles, the first after, and the slowest one."""
        before = after = Count(leader)
        slowest_s = after.took_s
        async with asyncio.timeout(4 * self.words.resync_s):
            while after.done < count:
                await asyncio.sleep(_LOOK_S)
                before, after = after, Count(leader)
                slowest_s = max(slowest_s, after.took_s)
        return before, after, slowest_s

    async def _burst(self, api: HttpApi, leader: Operator) -> None:
        chosen = self.keys[:: max(1, len(self.keys) // self.words.burst)][: self.words.burst]
        written = config_maps_written(leader)
        began, cpu_s, writes = time.monotonic(), cpu_used_s(leader), leader.writes()
        change = {"spec": {"symbols": ["EURUSD"]}}
        await _together(api.merge(ACCOUNT, key, change, manager="bench") for key in chosen)
        asked_s = time.monotonic() - began
        await _until(lambda: config_maps_written(leader) >= written + len(chosen), timeout_s=300)
        took_s = time.monotonic() - began
        await until_quiet(leader)
        what = f"burst of {len(chosen)} changed specs"
        self._tell(f"{what}: asked for in", f"{asked_s:.1f} s")
        self._tell(f"{what}: brought about after", f"{took_s:.1f} s")
        each = (leader.writes() - writes) / len(chosen)
        self._tell(f"{what}: writes a change", f"{each:.2f}")
        cpu = (cpu_used_s(leader) - cpu_s) / len(chosen) * 1000
        self._tell(f"{what}: CPU a change", f"{cpu:.1f} ms")

    async def _routes(self, api: HttpApi) -> None:
        waits = []
        for number in range(ROUTE_CHANGES):
            key = self.keys[number % len(self.keys)]
            change = {"spec": {"suspend": True}}
            login = str(self.keys.index(key) + 1)
            began = time.monotonic()
            await api.merge(ACCOUNT, key, change, manager="bench")
            await self._unrouted(login)
            waits.append((time.monotonic() - began) * 1000)
        waits.sort()
        p99 = waits[min(len(waits) - 1, int(len(waits) * 0.99))]
        self._tell(
            "route: spec changed until Redis has it, p50", f"{statistics.median(waits):.0f} ms"
        )
        self._tell("route: the same, p99", f"{p99:.0f} ms", "<= 1000 (P9)")

    async def _unrouted(self, login: str) -> None:
        await _until(lambda: not self._address(login), timeout_s=60, pause_s=0.005)

    async def _failover(self, leader: Operator, standby: Operator) -> None:
        standby.start(wait=False)
        await _until(lambda: standby.answers("/readyz") == 200, timeout_s=300)
        what = "a replica that starts beside all of them"
        self._tell(f"{what}: memory", f"{rss_mb(standby):.0f} MB")
        self._tell(f"{what}: the most that it ever had", f"{peak_mb(standby):.0f} MB")
        await until_quiet(leader)
        told, began = Written(standby), time.monotonic()
        leader.kill()
        await _until(standby.leads, timeout_s=60)
        self._tell(
            "leader killed: until the standby leads (the Lease lasts 15 s)",
            f"{time.monotonic() - began:.1f} s",
            "<= 20 (R3)",
        )
        count = len(self.keys)
        await _until(
            lambda: standby.metric("mt5_operator_reconciles_total") >= count, timeout_s=300
        )
        self._tell("until it has looked at every account", f"{time.monotonic() - began:.1f} s")
        # Every sidecar was looked at by then, or was given up for silent.
        await asyncio.sleep(15)
        self._tell("writes of the new leader", told.since(), "0")

    def _all_writes(self) -> float:
        lines = self.plane.kubectl("get", "--raw", "/metrics").splitlines()
        ours = [line for line in lines if line.startswith("apiserver_request_total{")]
        verbs = [f'verb="{verb}"' for verb in ("APPLY", "PATCH", "POST", "PUT", "DELETE")]
        fits = [x for x in ours if any(v in x for v in verbs) and 'resource="leases"' not in x]
        return sum(float(line.rpartition(" ")[2]) for line in fits)

    def _tell(self, what: str, found: str, target: str = "") -> None:
        self.rows.append((what, found, target))
        print(f"{what}: {found}", file=sys.stderr, flush=True)

    def _routed(self) -> int:
        values: list[str] = self.redis.client.hvals("mt5:routes")  # type: ignore[assignment]
        return sum('"address":""' not in value.replace(" ", "") for value in values)

    def _address(self, login: str) -> str:
        text: Any = self.redis.client.hget("mt5:routes", login)
        return str(json.loads(text)["address"]) if text else ""


def _placed(manifest: dict[str, Any], key: Key) -> dict[str, Any]:
    return manifest | {"metadata": {"name": key.name, "namespace": key.namespace}}


def _with_its_secret(login: int, key: Key) -> dict[str, Any]:
    return account(login=login, credentialsSecretRef={"name": key.name})


async def _together(calls: Iterator[Awaitable[Any]]) -> None:
    gate = asyncio.Semaphore(16)

    async def one(call: Awaitable[Any]) -> None:
        async with gate:
            await call

    await asyncio.gather(*(one(call) for call in calls))


async def _until(done: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.1) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():
            await asyncio.sleep(pause_s)


@contextmanager
def cluster(nodes: int) -> Iterator[ControlPlane]:
    """Return a control plane with our CRD and fake nodes."""
    with fresh_control_plane("bench-operator") as plane:
        for file in sorted((REPOSITORY / "crds").glob("*.yaml")):
            plane.kubectl.apply_file(file)
        plane.kubectl("wait", "--for=condition=Established", "crd/mt5accounts.mt5bridge.io")
        plane.add_fake_nodes(nodes, timeout_s=600)
        yield plane


def page(words: argparse.Namespace, rows: list[Row], *, loads: str) -> str:
    """Return what docs/benchmarks-operator.md says."""
    table = "".join(f"| {what} | {found} | {target} |\n" for what, found, target in rows)
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return PAGE_TEXT.format(
        **vars(words), date=date, machine=report.machine(), loads=loads, table=table
    )


def main() -> int:
    """Run the phases and write the page; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--namespaces", type=int, default=20)
    parser.add_argument("--burst", type=int, default=200, help="specs that change at once")
    parser.add_argument("--resync-s", type=float, default=45)
    parser.add_argument("--timeout-s", type=float, default=1800, help="for the cold start")
    words = parser.parse_args()
    packages.ensure(packages.REDIS)
    before = os.getloadavg()[0]
    with cluster(words.nodes) as plane:
        scale = Scale(words, plane)
        try:
            asyncio.run(scale.run())
        finally:
            loads = f"{before:.1f} before and {os.getloadavg()[0]:.1f} after"
            if scale.rows:
                PAGE.write_text(page(words, scale.rows, loads=loads))
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
