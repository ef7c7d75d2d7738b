# SPDX-License-Identifier: Apache-2.0
"""R1: live through many seeds, each a story of 200 submits judged by the broker's own book.

`make simulate SEEDS=5000` makes a million submits. A failure names its seed, and
`make simulate FIRST=<seed> SEEDS=1` tells the same story again, with all that was wrong in it.
"""

import argparse
import logging
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

sys.path.insert(0, str(Path(__file__).parent))

from order_world.story import live
from order_world.terminal import Killed

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


class Lived(NamedTuple):
    """A seed that was lived through, and what was wrong in it."""

    seed: int
    count: Counter[str]
    wrong: str = ""


def lived(seed: int) -> Lived:
    """Live through one seed; what goes wrong is told, not raised."""
    try:
        return Lived(seed, one(seed))
    except (Exception, Killed) as error:  # noqa: BLE001  each seed is told of, whatever it met
        return Lived(seed, Counter(), "".join(traceback.format_exception(error)))


def many(first: int, seeds: int, *, processes: int, minutes: float) -> Iterator[Lived]:
    """Live through `seeds` seeds from `first` on, as far as the time goes."""
    end_s = time.monotonic() + minutes * 60
    with multiprocessing.get_context("spawn").Pool(processes, quiet) as pool:
        for end in pool.imap_unordered(lived, range(first, first + seeds), chunksize=4):
            yield end
            if time.monotonic() > end_s:
                return


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100, help=f"{SUBMITS} submits each")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--minutes", type=float, default=24 * 60, help="stop after these")
    asked = parser.parse_args()
    started_s = time.perf_counter()
    total: Counter[str] = Counter()
    wrong: list[int] = []
    bounds = {"processes": min(asked.processes, asked.seeds), "minutes": asked.minutes}
    for end in many(asked.first, asked.seeds, **bounds):
        total.update(end.count)
        if end.wrong:
            wrong.append(end.seed)
            say(end.wrong)
    tell(total, spent_s=time.perf_counter() - started_s)
    for seed in wrong:
        say(f"wrong: make simulate FIRST={seed} SEEDS=1")
    return 1 if wrong else 0


def tell(total: Counter[str], *, spent_s: float) -> None:
    """Print what happened how often."""
    for name, number in sorted(total.items()):
        say(f"{number:>10} {name}")
    say(f"{total['submits'] / spent_s:>10.0f} submits/s, {spent_s:.0f} s")


def say(line: str) -> None:
    """Print a line now: a long run is watched."""
    print(line, flush=True)  # noqa: T201  a command line prints


if __name__ == "__main__":
    sys.exit(main())
