# SPDX-License-Identifier: Apache-2.0
"""Closed-loop load by wrk: as many requests as the answers allow, for a bounded time."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.cores import LOAD, on
from bench.processes import cpu_s
from cluster import packages

PACKAGES: Final = {"wrk": "wrk"}
CONNECTIONS: Final = 32


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is loaded: a request, and the processes whose time it costs."""

    name: str
    url: str
    pids: Sequence[int]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One short load and what it cost the server."""

    requests: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Return requests a second, as the client saw it."""
        return self.requests / self.seconds

    @property
    def per_cpu_s(self) -> float:
        """Return requests a second of the server's core: what neighbours cannot take away."""
        return self.requests / self.cpu_s


async def load(subject: Subject, *, seconds: float) -> Sample:
    """Return what `subject` did in about so many seconds.

    Raises:
        ValueError: it answered with an error, or not at all.
    """
    before_s = cpu_s(subject.pids)
    text = await _wrk(subject, seconds=seconds)
    spent_s = cpu_s(subject.pids) - before_s
    # "12345 requests in 1.00s, 6.50MB read"
    done = re.search(r"(\d+) requests in ([\d.]+)(m?s)", text)
    if done is None or int(done[1]) == 0 or "Non-2xx" in text or "Socket errors" in text:
        raise ValueError(f"{subject.name}: {text}")
    took_s = float(done[2]) / (1000 if done[3] == "ms" else 1)
    return Sample(requests=int(done[1]), seconds=took_s, cpu_s=spent_s)


async def _wrk(subject: Subject, *, seconds: float) -> str:
    packages.ensure(PACKAGES)
    headers = [f"--header={name}: {value}" for name, value in subject.headers.items()]
    # wrk counts whole seconds only.
    duration = f"--duration={max(1, round(seconds))}s"
    argv = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", duration, *headers, subject.url]
    with on(LOAD):
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    output, _ = await process.communicate()
    return output.decode(errors="replace")
