# SPDX-License-Identifier: Apache-2.0
"""What an operator does, as it is seen from outside: reconciles, writes, CPU and memory."""

import asyncio
import json
import os
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.processes import descendants, peak_rss_bytes, rss_bytes
from operator_cluster.operator_process import Operator

_IDLE_PER_S: Final = 20  # reconciles: fewer than the slowest resync has
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Count:
    """Reconciles and CPU of an operator at one moment."""

    def __init__(self, operator: Operator) -> None:
        asked = time.monotonic()
        self.done = operator.metric("mt5_operator_reconciles_total")
        if not self.done:
            raise RuntimeError(f"no answer of /metrics\n{operator.last_words()}")
        self.took_s = time.monotonic() - asked
        self.cpu_s = cpu_used_s(operator)
        self.at = time.monotonic()
        self.secrets = operator.metric("mt5_operator_api_requests_total", kind="Secret", verb="GET")


class Written:
    """What an operator writes from now on, and of statuses: which parts of them."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._before = operator.written()
        self._logged = operator.log.stat().st_size

    def since(self) -> str:
        """Return how many writes were made, what they were, and what of a status changed."""
        new = self._operator.written() - self._before
        if not new:
            return "0"
        told = [f"{count} x {what}" for what, count in sorted(new.items())]
        changed = self._changed().most_common(6)
        return f"{new.total()} ({', '.join(told + [f'{path}: {n}' for path, n in changed])})"

    def _changed(self) -> Counter[str]:
        with self._operator.log.open("rb") as log:
            log.seek(self._logged)
            lines = [line for line in log if b'"status written"' in line]
        return Counter(path for line in lines for path in json.loads(line)["changed"])


def config_maps_written(operator: Operator) -> float:
    """Return how often a ConfigMap was changed."""
    return operator.metric("mt5_operator_api_requests_total", kind="ConfigMap", verb="PATCH")


def cpu_used_s(operator: Operator) -> float:
    """Return the CPU time of its process so far."""
    fields = Path(f"/proc/{operator.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mb(operator: Operator) -> float:
    """Return its resident memory now."""
    return rss_bytes(operator.pid) / 1e6


def peak_mb(operator: Operator) -> float:
    """Return the most resident memory that it ever had."""
    return peak_rss_bytes(operator.pid) / 1e6


def busy_s() -> dict[str, float]:
    """Return the CPU time of all that this benchmark started, and its own, by program."""
    found: dict[str, float] = defaultdict(float)
    for pid in [os.getpid(), *descendants(os.getpid())]:
        with suppress(FileNotFoundError, ProcessLookupError):
            head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            fields = rest.split()
            name = "stub and measuring" if pid == os.getpid() else _program(pid, head)
            found[name] += (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def _program(pid: int, head: str) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text()
    return "our operator" if "mt5_operator" in words else head.partition("(")[2]


def shares_of_cores(before: dict[str, float], after: dict[str, float], took_s: float) -> str:
    """Return which program had how much of all cores in `took_s`, the largest first."""
    whole = took_s * (os.cpu_count() or 1)
    used = {name: (spent - before.get(name, 0)) / whole for name, spent in after.items()}
    most = sorted(used.items(), key=lambda item: -item[1])
    told = [f"{name} {share:.0%}" for name, share in most if share >= 0.01]
    return f"{', '.join(told)}; all {sum(used.values()):.0%}"


async def until_quiet(operator: Operator, *, for_s: float = 3) -> None:
    """Wait until nothing was written for a while."""
    before, since = -1.0, time.monotonic()
    async with asyncio.timeout(300):
        while time.monotonic() - since < for_s:
            if (now := operator.writes()) != before:
                before, since = now, time.monotonic()
            await asyncio.sleep(0.2)


async def until_idle(operator: Operator, *, for_s: float = 2) -> None:
    """Wait until no resync is under way: what finds nothing to do writes nothing either."""
    before = Count(operator)
    async with asyncio.timeout(300):
        while True:
            await asyncio.sleep(for_s)
            now = Count(operator)
            if (now.done - before.done) / (now.at - before.at) < _IDLE_PER_S:
                return
            before = now
