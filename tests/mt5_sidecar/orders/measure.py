# SPDX-License-Identifier: Apache-2.0
"""What the order path adds to an order: `python tests/mt5_sidecar/orders/measure.py [FOLDER]`.

The terminal answers at once, so that all that is left is ours: validation, three synced journal
writes, the queue. Needs `PYTHONPATH=sidecar`; FOLDER on the disk that counts.
"""

import asyncio
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


def show(name: str, seconds: list[float]) -> None:
    """Print percentiles in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    shown = "  ".join(f"p{p} {cuts[p - 1] * 1000:.3f}" for p in (50, 95, 99))
    print(f"{name:<24} {shown}  max {max(seconds) * 1000:.3f} ms  n {len(seconds)}")  # noqa: T201


async def measure(folder: Path) -> None:
    """Send orders one after the other."""
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
    show("journal write, synced", writes)
    show("order, all that is ours", orders)
    show("replay", replays)


def small_order() -> Ask:
    """Return a small order."""
    body = NewOrder(symbol="EURUSD", side="buy", type="market", volume=Decimal("0.01"))
    return Ask("order", body)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as made:
        asyncio.run(measure(Path(made)))
