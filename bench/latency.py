# SPDX-License-Identifier: Apache-2.0
"""R-P-016: from the terminal's change to the client, through agent and sidecar as they ship.

The simulator dates each tick to the millisecond at which it came, so a client that hears of it
knows how long that took. Positions are looked at every `poll_interval_s`, half a second; prices
twice as often, and it is they that change all the time.
"""

import asyncio
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp

from bench.findings import Finding
from bench.memory import agent
from bench.percentiles import percentile
from bench.rounds import Effort
from bench.sidecar import AUTHORIZED, answers, sidecar, until

TICKS: Final = 40
PATIENCE_S: Final = 60.0
PATH: Final = "/ws?channels=tick_data&symbols=EURUSD&interval_ms=0"


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return how old a price is when a client has it."""
    del effort
    async with sidecar(folder / "sidecar") as running, agent(folder, running):
        await until(lambda: answers(running.url("/api/ticks"), **AUTHORIZED))
        async with (
            aiohttp.ClientSession(headers=AUTHORIZED) as session,
            session.ws_connect(running.url(PATH)) as socket,
            asyncio.timeout(PATIENCE_S),
        ):
            ages_s = await _ages_s(socket)
    middle_ms = percentile(ages_s, 50) * 1e3
    return [
        Finding(
            target_id="P12",
            what="price: changed in the terminal, read by a client, p95",
            value=percentile(ages_s, 95) * 1e3,
            unit="ms",
            sense="<=",
            target=500,
            limit=500,
            beside=f"p50 {middle_ms:.0f} ms; the terminal is looked at every 250 ms",
        )
    ]


async def _ages_s(socket: aiohttp.ClientWebSocketResponse) -> list[float]:
    ages_s: list[float] = []
    seen = ""
    while len(ages_s) < TICKS:
        message = json.loads(await socket.receive_str())
        if message["type"] != "tick_data":
            continue
        for tick in message["data"]["changed"]:
            # The zone becomes known with the first ticks; the same tick may be told again for it.
            if tick["time"] and tick["time"] != seen:
                seen = tick["time"]
                ages_s.append(time.time() - datetime.fromisoformat(seen).timestamp())
    return ages_s
