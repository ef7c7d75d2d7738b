# SPDX-License-Identifier: Apache-2.0
"""What the order path adds to an order: `python tests/mt5_sidecar/orders/measure.py FOLDER`.

The terminal answers at once, so that all that is left is ours: validation, three synced journal
writes, the queue. Needs `PYTHONPATH=sidecar`; FOLDER on the disk that counts; `--json` for `bench`.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from order_world.house import ACCOUNT, ACCOUNT_ID
from order_world.terminal import Terminal, World

from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.orders import Ask, Journal, NewOrder, OrderDesk, OrderSettings, Store

ORDERS = 1500


Figures = dict[str, float]


def figures(seconds: list[float]) -> Figures:
    """Return percentiles in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    found = {f"p{p}": cuts[p - 1] * 1000 for p in (50, 95, 99)}
    return found | {"max": max(seconds) * 1000, "n": len(seconds)}


async def measure(folder: Path) -> dict[str, Figures]:
    """Send orders one after the other; return how long what took."""
    world = World(1)
    terminal = Terminal(world)
    terminal.quiet = True
    settings = OrderSettings(journal_file=folder / "orders.sqlite", newborn_s=0)
    writes: list[float] = []
    journal = Journal(
        lambda: Store(settings, account=ACCOUNT, now_ms=world.now_ms), on_write=writes.append
    )
    desk = OrderDesk(
        journal,
        terminal,
        account_id=ACCOUNT_ID,
        trading=lambda: Trading(enabled=True),
        settings=settings,
        clock=world.clock,
    )
    await desk.start()
    await desk.activation.activate(1)
    await desk.reconcile()
    orders: list[float] = []
    for number in range(ORDERS):
        ask = small_order()
        started_s = time.perf_counter()
        await desk.submit(f"k{number}", ask)
        orders.append(time.perf_counter() - started_s)
    replays: list[float] = []
    for number in range(ORDERS):
        started_s = time.perf_counter()
        await desk.submit(f"k{number}", small_order())
        replays.append(time.perf_counter() - started_s)
    await desk.stop()
    return {
        "journal write, synced": figures(writes),
        "order, all that is ours": figures(orders),
        "replay": figures(replays),
    }


def small_order() -> Ask:
    """Return a small order."""
    body = NewOrder(symbol="EURUSD", side="buy", type="market", volume=Decimal("0.01"))
    return Ask("order", body)


def main() -> None:
    """Measure in a new folder, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as made:
        found = asyncio.run(measure(Path(made)))
    if words.json:
        print(json.dumps(found))  # noqa: T201
        return
    for name, values in found.items():
        shown = "  ".join(f"{key} {value:.3f}" for key, value in values.items())
        print(f"{name:<24} {shown}")  # noqa: T201


if __name__ == "__main__":
    main()
