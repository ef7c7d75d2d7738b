# SPDX-License-Identifier: Apache-2.0
"""P12: a thousand users on five accounts, through the router, with keys and the default limits.

Ten keys, since one may ask each account a hundred times a second, and this load alone does.

Half of them listen to a stream each, the other half ask once a second. The load is open-loop: a
request is late from the moment at which it was due, whatever the one before it did.
"""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import uvloop

from bench.findings import Finding, Sense
from bench.installed import Fleet, first_answer_s, routers_cpu_s
from bench.listeners import Audience
from bench.percentiles import percentile
from demo.installation import Installation

ACCOUNTS: Final = 5
SOCKETS_PER_POD: Final = 100
REQUESTS_PER_S: Final = 500
ROUNDS: Final = 3
SECONDS: Final = 15
# Of a pod's sockets so many ask for an echo, once a second each, and read what they hear. The
# others only hear it: the load has no core for itself.
ECHOES_PER_POD: Final = 10
PATHS: Final = ("account", "positions", "orders", "ticks", "status")
PATIENCE_S: Final = 30
KEYS: Final = 10


@dataclass
class Seen:
    """What the users saw in one round, and what it cost."""

    api_s: list[float] = field(default_factory=list)
    echo_s: list[float] = field(default_factory=list)
    message_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    sidecars_cpu_s: float = 0
    routers_cpu_s: float = 0
    load_cpu_s: float = 0


def measure(installation: Installation) -> list[Finding]:
    """Return what P12 asks for, of the least disturbed round: neighbours only ever add time."""
    fleet = Fleet(installation)
    fleet.start(ACCOUNTS)
    try:
        keys = _valid_keys(installation, fleet.ids)
        rounds = [_round(installation, fleet, keys) for _ in range(ROUNDS)]
    finally:
        fleet.end()
    best, *others = sorted(rounds, key=lambda seen: percentile(seen.api_s, 95))
    return _findings(best, others)


def _valid_keys(installation: Installation, ids: Sequence[str]) -> list[str]:
    names = [f"user{number}" for number in range(KEYS)]
    keys = [installation.create_key(name, accounts=["*"], scopes=["read"]) for name in names]
    for account_id in ids:
        for key in keys:
            first_answer_s(installation, account_id, key)
    return keys


def _round(installation: Installation, fleet: Fleet, keys: Sequence[str]) -> Seen:
    seen = Seen()
    sidecars_s, routers_s = fleet.cpu_s("sidecar"), routers_cpu_s(installation)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        began_s = time.process_time()
        runner.run(_load(installation, fleet.ids, keys, seen))
        seen.load_cpu_s = time.process_time() - began_s
    seen.sidecars_cpu_s = fleet.cpu_s("sidecar") - sidecars_s
    seen.routers_cpu_s = routers_cpu_s(installation) - routers_s
    return seen


def _findings(best: Seen, others: Sequence[Seen]) -> list[Finding]:
    told = [f"{_ms(seen.api_s, 95):.0f} ms" for seen in others]
    api = f"{_spread(best.api_s)}; other rounds: {', '.join(told)}"
    messages = f"{_spread(best.message_s)}; {len(best.message_s):,} messages"
    failed = len(best.api_s) - best.statuses[200] + best.lost
    count = f"of {len(best.api_s):,} requests and {ACCOUNTS * SOCKETS_PER_POD} sockets"
    rate = len(best.api_s) / SECONDS
    return [
        _finding("API, p95", _ms(best.api_s, 95), "ms", 150, api),
        _finding(
            "stream: echo and back, p95", _ms(best.echo_s, 95), "ms", 50, _spread(best.echo_s)
        ),
        _finding("stream: written to read, p95", _ms(best.message_s, 95), "ms", 50, messages),
        _finding("requests a second", rate, "/s", REQUESTS_PER_S * 0.99, f"for {SECONDS} s", ">="),
        _finding("requests failed, sockets lost", failed, "", 0, f"{count}; {dict(best.statuses)}"),
        _finding("five sidecars: of one core", best.sidecars_cpu_s / SECONDS * 100, "%"),
        _finding("two routers: of one core", best.routers_cpu_s / SECONDS * 100, "%"),
        _finding("the load itself: of one core", best.load_cpu_s / SECONDS * 100, "%"),
    ]


def _spread(values_s: Sequence[float]) -> str:
    return f"p50 {_ms(values_s, 50):.1f} ms, p99 {_ms(values_s, 99):.1f} ms"


def _ms(values_s: Sequence[float], percent: float) -> float:
    return percentile(values_s, percent) * 1000


def _finding(
    what: str,
    value: float,
    unit: str,
    target: float | None = None,
    beside: str = "",
    sense: Sense = "<=",
) -> Finding:
    return Finding(
        target_id="P12",
        what=what,
        value=value,
        unit=unit,
        sense=sense,
        target=target,
        beside=beside,
    )


async def _load(
    installation: Installation, ids: Sequence[str], keys: Sequence[str], seen: Seen
) -> None:
    users = itertools.cycle({"X-API-Key": key} for key in keys)
    address = urlsplit(installation.url)
    host, port = address.hostname or "", address.port or 80
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncExitStack() as stack,
    ):
        crowd = [Audience(port, f"/ws/account/{each}", next(users), host=host) for each in ids]
        for audience in crowd:
            stack.callback(audience.leave)
            await audience.join(SOCKETS_PER_POD - ECHOES_PER_POD)
        sockets = [
            await stack.enter_async_context(
                session.ws_connect(
                    f"{installation.url}/ws/account/{account_id}", headers=next(users)
                )
            )
            for account_id in ids
            for _ in range(ECHOES_PER_POD)
        ]
        ears = [asyncio.create_task(_listen(socket, seen)) for socket in sockets]
        urls = itertools.cycle(
            f"{installation.url}/accounts/{account_id}/api/{path}"
            for path in PATHS
            for account_id in ids
        )
        await asyncio.gather(
            _at_rate(
                REQUESTS_PER_S, lambda due_s: _ask(session, next(urls), next(users), due_s, seen)
            ),
            *(_at_rate(1, partial(_echo, socket)) for socket in sockets),
        )
        seen.lost = sum(socket.closed for socket in sockets)
        seen.lost += sum(audience.lost for audience in crowd)
        for ear in ears:
            ear.cancel()
        await asyncio.gather(*ears, return_exceptions=True)


async def _at_rate(per_s: float, do: Callable[[float], Awaitable[None]]) -> None:
    """Begin one `do` at each of the times that are due, however long they take."""
    began_s = time.perf_counter()
    tasks = []
    for number in range(int(SECONDS * per_s)):
        due_s = began_s + number / per_s
        await asyncio.sleep(due_s - time.perf_counter())
        tasks.append(asyncio.ensure_future(do(due_s)))
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)


async def _ask(
    session: aiohttp.ClientSession, url: str, user: dict[str, str], due_s: float, seen: Seen
) -> None:
    try:
        async with session.get(url, headers=user) as answer:
            await answer.read()
            seen.statuses[answer.status] += 1
    except aiohttp.ClientError:
        seen.statuses[0] += 1
    seen.api_s.append(time.perf_counter() - due_s)


async def _echo(socket: aiohttp.ClientWebSocketResponse, due_s: float) -> None:
    await socket.send_str(json.dumps({"type": "heartbeat", "id": round(due_s * 1e6)}))


async def _listen(socket: aiohttp.ClientWebSocketResponse, seen: Seen) -> None:
    async for message in socket:
        now_s, clock_s = time.perf_counter(), time.time()
        body = json.loads(message.data)
        if body["type"] == "heartbeat_response":
            seen.echo_s.append(now_s - body["id"] / 1e6)
        elif body["type"] == "error":
            raise ValueError(message.data)
        elif body["type"] in {"tick_data", "positions", "account_info"}:
            written_s = datetime.fromisoformat(body["timestamp"]).timestamp()
            seen.message_s.append(clock_s - written_s)
