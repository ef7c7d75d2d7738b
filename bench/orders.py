# SPDX-License-Identifier: Apache-2.0
"""P6: what the order path adds to an order: `tests/mt5_sidecar/orders/measure.py` on its own core.

Its journal is on the disk of the temporary folder, so the figure is of that disk, too.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from bench.cores import SERVER
from bench.findings import Finding
from bench.processes import Started
from bench.rounds import Effort
from cluster.paths import REPOSITORY

PROGRAM: Final = REPOSITORY / "tests/mt5_sidecar/orders/measure.py"
PATIENCE_S: Final = 120.0


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return what P6 asks for."""
    del effort
    log = folder / "orders.json"
    process = Started([sys.executable, PROGRAM, "--json", folder], log, core=SERVER)
    async with asyncio.timeout(PATIENCE_S):
        while process.running():
            await asyncio.sleep(0.2)
    found = json.loads(log.read_text())
    write, replay = found["journal write, synced"], found["replay"]
    beside = f"one journal write p50 {write['p50']:.2f} ms, a replay {replay['p50']:.2f} ms"
    return [
        Finding(
            target_id="P6",
            what=f"order: all that is ours, {percent}",
            value=found["order, all that is ours"][percent],
            unit="ms",
            sense="<=",
            target=target_ms,
            beside=beside if percent == "p50" else "",
        )
        for percent, target_ms in (("p50", 3), ("p99", 10))
    ]
