# SPDX-License-Identifier: Apache-2.0
"""Live through many seeds: `python tests/mt5_sidecar/orders/simulate.py --seeds 5000`.

Needs `PYTHONPATH=sidecar`. A failure names its seed: `--first SEED --seeds 1` replays it.
"""

import argparse
import logging
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parent))

from order_world.story import live

SUBMITS = 200


def folder() -> Path:
    """Return a new folder, in memory where there is one: millions of commits wear a disk."""
    memory = Path("/dev/shm")  # noqa: S108  a random folder is made in it
    return Path(tempfile.mkdtemp(prefix="mt5-orders-", dir=memory if memory.is_dir() else None))


def one(seed: int) -> Counter[str]:
    """Live through one seed in a folder of its own."""
    place = folder()
    try:
        return live(seed, place, submits=SUBMITS)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def quiet() -> None:
    """Log errors only: a million orders have much to say."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def many(first: int, seeds: int, *, processes: int) -> Counter[str]:
    """Live through `seeds` seeds from `first` on."""
    total: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(processes, quiet) as pool:
        for count in pool.imap_unordered(one, range(first, first + seeds), chunksize=4):
            total.update(count)
    return total


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100, help=f"{SUBMITS} submits each")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    asked = parser.parse_args()
    started_s = time.perf_counter()
    total = many(asked.first, asked.seeds, processes=asked.processes)
    spent_s = time.perf_counter() - started_s
    for name, number in sorted(total.items()):
        print(f"{number:>10} {name}")  # noqa: T201  a command line prints
    print(f"{total['submits'] / spent_s:>10.0f} submits/s, {spent_s:.0f} s")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
